/** Who caused an event, as its handlers and tasks are told, and nobody behind them is. */
import { assert, describe, it } from "@effect/vitest"
import { type Caller, callerHeader, callerHeaders, Grants } from "@nimbus/domain/access"
import { Journey, type LogRecord } from "@nimbus/domain/protocol"
import { Handlers, Topics } from "@nimbus/domain/services"
import { Effect, Layer, Schedule, Schema, Stream } from "effect"
import * as EventConsumer from "./EventConsumer.ts"
import { taskWorkerLimits } from "./Limits.ts"
import { quickLimits } from "./testing/Limits.ts"
import {
  append,
  client,
  event,
  hasRecords,
  inTestEnvironment,
  message,
  start,
  textOf,
} from "./testing/TestEnvironment.ts"
import * as TaskWorker from "./TaskWorker.ts"

const alice = callerHeaders({
  issuer: "https://id.example",
  subject: "alice",
  clientId: client("alice"),
  grants: Grants.none,
  claims: { groups: ["staff"] },
  expires_s: undefined,
  issued_s: undefined,
  tokenId: undefined,
  keyId: undefined,
})
const isAlice = { issuer: "https://id.example", subject: "alice", claims: { groups: ["staff"] } }

interface Seen {
  readonly by: string
  readonly attempt: number
  readonly caller: Caller | undefined
}

/** Handlers and tasks that say who has called them; each fails once. */
const telling = (seen: Array<Seen>) => {
  const once = <A>(name: string, attempt: number, caller: Caller | undefined, done: A) =>
    Effect.suspend(() => {
      seen.push({ by: name, attempt, caller })
      return attempt === 1 ? Effect.fail("not yet") : Effect.succeed(done)
    })
  const retry = Schedule.recurs(1)
  const who = Handlers.make("who", {
    input: Schema.Json,
    output: Schema.String,
    handler: (_, { attempt, caller }) => once("who", attempt, caller, "handled"),
    retry,
  })
  const ask = Handlers.task("ask", {
    input: Schema.Json,
    part: Schema.String,
    handler: (_, { attempt, caller }) => Stream.fromEffect(once("ask", attempt, caller, "a part")),
    retry,
  })
  return Handlers.layer([who, ask])
}

const startAll = (seen: Array<Seen>, kept_bytes = taskWorkerLimits.kept_bytes) =>
  start(
    Layer.merge(
      EventConsumer.layerWith(quickLimits),
      TaskWorker.layerWith({ ...taskWorkerLimits, ...quickLimits, kept_bytes, tick_ms: 2 }),
    ).pipe(Layer.provide(telling(seen))),
  )

/** Whether any of it is in a record. */
const tells = (record: LogRecord | undefined): boolean =>
  record?.headers?.[callerHeader] !== undefined ||
  textOf(record).includes("staff") ||
  JSON.stringify(record?.headers ?? {}).includes("staff")

describe("who caused an event", () => {
  it.live("is told to its handler, at each attempt, and goes no further", () =>
    Effect.gen(function* () {
      const { events, results } = yield* Topics
      const seen: Array<Seen> = []
      yield* startAll(seen)
      const sampled = { ...alice, ...Journey.sample({ time: 1, service: "gateway", instance: "g", step: "accepted" }) }
      yield* append(
        events,
        { ...event("alice", "e1", "who", 1), headers: alice },
        { ...event("alice", "e2", "who", 1), headers: sampled },
        { ...event("alice", "e3", "nothing", 1), headers: alice },
        { ...event("alice", "e1", "who", 1), headers: alice },
        { ...message("alice", "m1", "news"), headers: alice },
      )
      const records = yield* hasRecords(results, 5)
      assert.isFalse(records.some(tells))
      assert.isTrue(Journey.isSampled(records[1]?.headers))
      const both = [1, 2].map((attempt) => ({ by: "who", attempt, caller: isAlice }))
      assert.deepStrictEqual(seen, [...both, ...both])
    }).pipe(inTestEnvironment()),
  )

  it.live.each([
    { what: "that is kept until it starts", kept_bytes: taskWorkerLimits.kept_bytes },
    { what: "that is read again when it starts", kept_bytes: 0 },
  ])("is told to each attempt of its task, also to one $what, and goes no further", ({ kept_bytes }) =>
    Effect.gen(function* () {
      const { events, results } = yield* Topics
      const seen: Array<Seen> = []
      yield* startAll(seen, kept_bytes)
      yield* append(events, { ...event("alice", "e1", "ask", 1), headers: alice })
      const records = yield* hasRecords(results, 2)
      assert.isFalse(records.some(tells))
      assert.deepStrictEqual(
        seen,
        [1, 2].map((attempt) => ({ by: "ask", attempt, caller: isAlice })),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("is nobody where no gateway has said it, whatever the event's own text has", () =>
    Effect.gen(function* () {
      const { events, results } = yield* Topics
      const seen: Array<Seen> = []
      yield* startAll(seen)
      const forged = { caller: isAlice, headers: alice, [callerHeader]: JSON.stringify(isAlice) }
      yield* append(events, event("mallory", "e1", "who", forged), event("mallory", "e2", "ask", forged))
      yield* hasRecords(results, 3)
      assert.lengthOf(seen, 4)
      assert.isTrue(seen.every(({ caller }) => caller === undefined))
    }).pipe(inTestEnvironment()),
  )
})
