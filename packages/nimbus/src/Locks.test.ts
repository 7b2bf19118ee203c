/**
 * Who may do what, at every transport: each thing that a capability allows is tried with each kind of token, and where it
 * is refused, nothing has changed.
 */
import * as Locks from "@nimbus/adapters/locks"
import { Issuer } from "@nimbus/adapters/testing/tokens"
import { assert, describe, it } from "@effect/vitest"
import { ClientId, decodeEvent, partitionOf } from "@nimbus/domain/protocol"
import { ArchiveMemory, EventLog, Mailbox, Registry, Revocations, Topics } from "@nimbus/domain/services"
import { Handlers } from "@nimbus/domain"
import { GrpcServer } from "@nimbus/gateway"
import { Context, Effect, Layer, Option, Result, Stream } from "effect"
import * as Nimbus from "./Nimbus.ts"
import { type Attempt, client, type Place } from "./testing/locks/Attempt.ts"
import { attempts } from "./testing/locks/Attempts.ts"

/** Somebody who shows something, and what comes of it for whatever is tried. */
interface Visitor {
  readonly who: string
  readonly token: (issuer: Issuer.Issuer, attempt: Attempt) => Promise<string | undefined>
  readonly outcome: string
}

const otherSubject = "another subject"
const lacking = "who lacks the capability"
const revokedId = "revoked"
const need = ({ besides, capability }: Attempt) => [capability, ...besides]

const visitors: ReadonlyArray<Visitor> = [
  { who: "nobody", token: async () => undefined, outcome: "TOKEN_MISSING" },
  {
    who: "who has signed it with a key of its own",
    token: async (issuer, attempt) => {
      const foreign = await Issuer.keyOf("ES256", issuer.keys.at(-1)?.kid)
      return issuer.sign({ sub: client, nimbus: need(attempt) }, { key: foreign })
    },
    outcome: "TOKEN_INVALID",
  },
  {
    who: "who has a token for somebody else",
    token: (issuer, attempt) => issuer.sign({ sub: client, aud: "another", nimbus: need(attempt) }),
    outcome: "TOKEN_INVALID",
  },
  {
    who: "whose token has ended",
    token: (issuer, attempt) => {
      const exp = Issuer.now_s() - 3_600
      return issuer.sign({ sub: client, iat: exp - 60, exp, nimbus: need(attempt) })
    },
    outcome: "TOKEN_EXPIRED",
  },
  {
    who: "whose token was revoked",
    token: (issuer, attempt) => issuer.sign({ sub: client, jti: revokedId, nimbus: need(attempt) }),
    outcome: "TOKEN_REVOKED",
  },
  {
    who: otherSubject,
    token: (issuer, { besides, capability }) =>
      // What it may, it may as itself.
      issuer.sign({
        sub: "mallory",
        nimbus: [capability, ...besides].map((text) => text.replace(/:alices?$/, ":mallory")),
      }),
    outcome: "FORBIDDEN",
  },
  {
    who: lacking,
    token: (issuer, { besides }) => issuer.sign({ sub: client, nimbus: [...besides] }),
    outcome: "FORBIDDEN",
  },
  {
    who: "who has the capability",
    token: (issuer, attempt) => issuer.sign({ sub: client, nimbus: need(attempt) }),
    outcome: "OK",
  },
]

/** A server with an issuer of its own. */
class Stage extends Context.Service<Stage, { readonly issuer: Issuer.Issuer; readonly place: Place }>()("test/Stage") {
  static readonly layer = Layer.unwrap(
    Effect.map(Issuer.make(), (issuer) => {
      const locks = Locks.layerWith({
        tokens: {
          issuers: [{ issuer: issuer.url, name: undefined, keys: { _tag: "Discovery" } }],
          audience: [Issuer.audience],
          clientClaim: "sub",
          isInsecure: false,
        },
        hook: undefined,
        tls: undefined,
        rules: undefined,
        claims: [],
      })
      const server = Nimbus.layerMemory({ admin: Option.some({ _tag: "Loopback" }) }).pipe(
        Layer.provideMerge(Revocations.layerMemory()),
        Layer.provide([locks, ArchiveMemory.layerMemory(), Handlers.layer(Handlers.samples)]),
      )
      const stage = Effect.gen(function* () {
        const { order } = yield* Revocations
        const expires_s = Issuer.now_s() + 7_200
        yield* order({ _tag: "Token", issuer: issuer.url, tokenId: revokedId, expires_s })
        const http = Number(new URL(yield* Nimbus.url).port)
        return Stage.of({ issuer, place: { http, grpc: (yield* GrpcServer).port } })
      })
      return Layer.provideMerge(Layer.effect(Stage, stage), server)
    }),
  )
}

const partitionsOf = Effect.map(EventLog, ({ partitions }) => Array.from({ length: partitions }, (_, i) => i))

const endsOf = Effect.fnUntraced(function* (topics: ReadonlyArray<string>) {
  const log = yield* EventLog
  const partitions = yield* partitionsOf
  return yield* Effect.forEach(topics, (topic) => Effect.forEach(partitions, (partition) => log.end(topic, partition)))
})

const clients = [client, "mallory"].map((name) => ClientId.make(name))

/** What a session of the client may not change by what it lacks. */
const inside = Effect.gen(function* () {
  const { chats, tasks } = yield* Topics
  return yield* endsOf([tasks, chats])
})

/** Everything that somebody could have changed: the logs, the registry, and what is acknowledged. */
const everything = Effect.gen(function* () {
  const log = yield* EventLog
  const { events, results } = yield* Topics
  const { statuses } = yield* Registry
  const { offset, stats } = yield* Mailbox
  return {
    inside: yield* inside,
    mailboxes: yield* Effect.forEach(clients, stats),
    events: yield* endsOf([events, results]),
    registry: yield* statuses(clients),
    put: yield* offset(partitionOf(client, log.partitions)),
  }
})

/** What stands in the events topic beside barriers, which every session begins with: events and cancels. */
const saidIn = Effect.fnUntraced(function* (partition: number) {
  const log = yield* EventLog
  const { events } = yield* Topics
  const end = yield* log.end(events, partition)
  if (end === 0) return []
  return yield* log.tail(events, partition, "earliest").pipe(
    Stream.flatMap(({ records }) => Stream.fromIterable(records)),
    Stream.takeUntil(({ offset }) => offset + 1 >= end),
    Stream.filter(({ value }) => !isBarrier(value)),
    Stream.map(({ key, value }) => `${key}: ${new TextDecoder().decode(value)}`),
    Stream.runCollect,
  )
})

const isBarrier = (value: Uint8Array): boolean => {
  const record = decodeEvent(value)
  return Result.isSuccess(record) && record.success.type === "barrier"
}

type Cell = ReturnType<typeof cellsOf>[number]

const cellsOf = (all: ReadonlyArray<Visitor>) =>
  attempts.flatMap((attempt) =>
    all
      .filter(({ who }) => attempt.isAbout || who !== otherSubject)
      .map((visitor) => ({ attempt, visitor, name: `${attempt.transport}: ${attempt.what}, ${visitor.who}` })),
  )

/** Whether it is let in, and refused then. */
const isInside = ({ attempt, visitor }: Cell): boolean => visitor.who === lacking && attempt.besides.length > 0

const tryIt = Effect.fnUntraced(function* ({ attempt, visitor }: Cell) {
  const { issuer, place } = yield* Stage
  return yield* Effect.promise(async () => attempt.attempt(place, await visitor.token(issuer, attempt)))
})

const refused = cellsOf(visitors.filter(({ outcome }) => outcome !== "OK"))
const allowed = cellsOf(visitors.filter(({ outcome }) => outcome === "OK"))

const stage = { timeout: 120_000, excludeTestServices: true } as const

it.layer(Stage.layer, stage)("locks keep out, and nothing changes", (it) => {
  for (const cell of refused.filter((cell) => !isInside(cell))) {
    it.effect(cell.name, () =>
      Effect.gen(function* () {
        const before = yield* everything
        assert.strictEqual(yield* tryIt(cell), cell.visitor.outcome)
        assert.deepStrictEqual(yield* everything, before)
      }),
    )
  }
})

it.layer(Stage.layer, stage)("locks refuse, and nothing comes of it", (it) => {
  for (const cell of refused.filter(isInside)) {
    it.effect(cell.name, () =>
      Effect.gen(function* () {
        const before = yield* inside
        assert.strictEqual(yield* tryIt(cell), cell.visitor.outcome)
        assert.deepStrictEqual(yield* inside, before)
      }),
    )
  }

  // Last: what was told to be refused, and sent nevertheless, is in the log by now.
  it.effect("has none of it in the log", () =>
    Effect.gen(function* () {
      const said = yield* Effect.forEach(yield* partitionsOf, saidIn)
      assert.deepStrictEqual(said.flat(), [])
    }),
  )
})

it.layer(Stage.layer, stage)("locks allow", (it) => {
  for (const cell of allowed) {
    it.effect(cell.name, () => Effect.map(tryIt(cell), (outcome) => assert.strictEqual(outcome, cell.visitor.outcome)))
  }
})

describe("the matrix", () => {
  it("has every capability, and every transport", () => {
    const capabilities = new Set(attempts.map(({ capability }) => capability.replace(/:alices?$|:sq$/, "")))
    assert.includeMembers(
      [...capabilities],
      ["connect", "send", "read", "ack", "cancel", "room:join", "room:publish", "room:history", "broadcast"],
    )
    assert.includeMembers([...capabilities], ["publish", "archive:read", "journey", "admin:viewer", "admin:operator"])
  })
})
