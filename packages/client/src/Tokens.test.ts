/** When a client asks for a token, what it does with it, and what it does without one. */
import { assert, describe, it } from "@effect/vitest"
import { closeCodes } from "@nimbus/domain/protocol"
import { Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as Client from "./Client.ts"
import { layerMemory } from "./Memory.ts"
import * as MemoryTransport from "./testing/MemoryTransport.ts"
import type { TokenSource } from "./Tokens.ts"
import { Transport } from "./Transport.ts"

const welcome = {
  type: "welcome",
  clientId: "c1",
  epoch: 1,
  status: "LIVE",
  log: "log-0",
  after: -1,
  limits: { frame_bytes: 1_000, window_results: 100, events_per_second: 1_000, idle_timeout_ms: 1_000 },
}

/** Gives `t1`, `t2`, …, and counts. */
class Source {
  asked = 0
  /** What it does instead. */
  instead: TokenSource | undefined
  readonly token: TokenSource = () => {
    this.asked += 1
    return this.instead?.() ?? Promise.resolve(`t${this.asked}`)
  }
}

const tries = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => TestClock.adjust("10 seconds"), { discard: true })

const makeWorld = Effect.fnUntraced(function* (
  source: Source | undefined,
  limits: Client.ClientOptions["limits"] = {},
) {
  const network = yield* MemoryTransport.make
  const memory = yield* Layer.build(layerMemory)
  const client = yield* Client.make({
    url: "ws://gateway",
    clientId: "c1",
    token: source?.token,
    limits: { heartbeat_ms: 3_600_000, ...limits },
  }).pipe(Effect.provideService(Transport, network.transport), Effect.provideContext(memory))
  return { network, client }
})

/** The next attempt, once time has passed. */
const nextOf = (network: Effect.Success<typeof MemoryTransport.make>) =>
  Effect.gen(function* () {
    while ((yield* network.knocks) === 0) yield* TestClock.adjust("1 second")
    return yield* network.accept
  })

/** The next frame from the client, if one comes within this time. */
const frameWithin = (peer: MemoryTransport.Peer, seconds: number) =>
  Effect.gen(function* () {
    for (let second = 0; second <= seconds; second++) {
      const [frame] = yield* peer.readNow
      if (frame !== undefined) return JSON.parse(frame)
      yield* TestClock.adjust("1 second")
    }
    return undefined
  })

describe("a token", () => {
  it.effect("is shown to the gateway by each connection, and never in the address", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { network } = yield* makeWorld(source)
      const first = yield* network.accept
      assert.strictEqual(first.token, "t1")
      assert.notInclude(first.url, "t1")
      yield* first.send(welcome)
    }),
  )

  it.effect("is none without a source", () =>
    Effect.gen(function* () {
      const { network } = yield* makeWorld(undefined)
      assert.isUndefined((yield* network.accept).token)
    }),
  )

  it.effect("is used for the next connections too for half a minute: an outage asks nobody for hundreds", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { network } = yield* makeWorld(source)
      for (let i = 0; i < 5; i++) {
        const peer = yield* nextOf(network)
        assert.strictEqual(peer.token, "t1")
        yield* peer.close(1006)
      }
      const peer = yield* nextOf(network)
      yield* peer.send(welcome)
      yield* tries(3)
      yield* peer.close(1006)
      assert.strictEqual((yield* nextOf(network)).token, "t2")
    }),
  )

  it.effect("that is about to end is followed by another one on the same connection, which is asked for once", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { client, network } = yield* makeWorld(source)
      const gateway = yield* network.accept
      yield* gateway.send(welcome, { type: "expiring", seconds: 60 }, { type: "expiring", seconds: 59 })
      assert.deepStrictEqual(yield* frameWithin(gateway, 1), { type: "auth", token: "t2" })
      yield* gateway.send({ type: "authenticated", seconds: 3_600 })
      assert.isUndefined(yield* frameWithin(gateway, 120))
      assert.strictEqual(source.asked, 2)
      yield* gateway.send({ type: "expiring", seconds: 60 })
      assert.deepStrictEqual(yield* frameWithin(gateway, 1), { type: "auth", token: "t3" })
      assert.strictEqual((yield* client.stats).connections, 1)
    }),
  )

  it.effect("is asked for until a source that keeps tokens has another one, and the same one is not sent again", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { network } = yield* makeWorld(source)
      const gateway = yield* network.accept
      source.instead = () => (source.asked <= 2 ? "t1" : "t9")
      yield* gateway.send(welcome, { type: "expiring", seconds: 60 })
      assert.isUndefined(yield* frameWithin(gateway, 28))
      assert.strictEqual(source.asked, 2)
      assert.deepStrictEqual(yield* frameWithin(gateway, 4), { type: "auth", token: "t9" })
    }),
  )

  it.effect("is asked for again where the source fails, or the gateway does not take what it gave", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { client, network } = yield* makeWorld(source)
      const gateway = yield* network.accept
      source.instead = () => {
        throw new Error("not signed in")
      }
      yield* gateway.send(welcome, { type: "expiring", seconds: 60 })
      assert.isUndefined(yield* frameWithin(gateway, 28))
      source.instead = undefined
      assert.deepStrictEqual(yield* frameWithin(gateway, 4), { type: "auth", token: "t3" })
      yield* gateway.send({ type: "error", code: "AUTH_UNAVAILABLE", message: "not now" })
      assert.deepStrictEqual(yield* frameWithin(gateway, 17), { type: "auth", token: "t4" })
      yield* gateway.send({ type: "authenticated" })
      assert.isUndefined(yield* frameWithin(gateway, 60))
      assert.strictEqual((yield* client.stats).connections, 1)
    }),
  )

  it.effect("that has ended is not shown again, and its connection comes back with another one", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { network } = yield* makeWorld(source)
      const gateway = yield* network.accept
      yield* gateway.send(welcome)
      yield* gateway.close(closeCodes.tokenExpired.code, "TOKEN_EXPIRED")
      assert.strictEqual((yield* nextOf(network)).token, "t2")
    }),
  )

  it.effect("that is refused is followed by one other, and the second refusal in a row is the end", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { client, network } = yield* makeWorld(source)
      const refuse = (peer: MemoryTransport.Peer) =>
        Effect.andThen(
          peer.send({ type: "error", code: "TOKEN_INVALID", message: "its audience is another" }),
          peer.close(closeCodes.unauthenticated.code, "UNAUTHENTICATED"),
        )
      yield* refuse(yield* network.accept)
      const second = yield* nextOf(network)
      assert.strictEqual(second.token, "t2")
      yield* second.send(welcome)
      yield* refuse(second)
      const third = yield* nextOf(network)
      assert.strictEqual(third.token, "t3")
      yield* refuse(third)
      const error = yield* Effect.flip(client.failed)
      assert.deepInclude(error, { _tag: "Unauthenticated", code: "UNAUTHENTICATED" })
      assert.strictEqual(error.message, "TOKEN_INVALID: its audience is another")
      assert.strictEqual(source.asked, 3)
    }),
  )

  it.effect("that never came is no reason to ask a second time", () =>
    Effect.gen(function* () {
      const { client, network } = yield* makeWorld(undefined)
      const gateway = yield* network.accept
      yield* gateway.send({ type: "error", code: "TOKEN_MISSING", message: "no token came" })
      yield* gateway.close(closeCodes.unauthenticated.code, "UNAUTHENTICATED")
      assert.strictEqual((yield* Effect.flip(client.failed)).message, "TOKEN_MISSING: no token came")
    }),
  )

  it.effect.each([
    {
      close: closeCodes.revoked,
      tag: "TokenRevoked",
      code: "TOKEN_REVOKED",
      message: "TOKEN_REVOKED: it counts no more",
    },
    { close: closeCodes.forbidden, tag: "Forbidden", code: "FORBIDDEN", message: "FORBIDDEN: it counts no more" },
    {
      close: closeCodes.inUse,
      tag: "ClientInUse",
      code: "CLIENT_IN_USE",
      message: "client c1 is connected by another subject",
    },
  ])("is not asked for again after $close.reason", ({ close, code, message, tag }) =>
    Effect.gen(function* () {
      const source = new Source()
      const { client, network } = yield* makeWorld(source)
      const gateway = yield* network.accept
      yield* gateway.send(welcome, { type: "error", code, message: "it counts no more" })
      yield* gateway.close(close.code, close.reason)
      const { _tag, code: its, message: said } = yield* Effect.flip(client.failed)
      assert.deepStrictEqual([_tag, its, said], [tag, code, message])
      assert.strictEqual(source.asked, 1)
    }),
  )

  it.effect(
    "that the source does not give is waited for, up to a bound, and asked for again as one connects again",
    () =>
      Effect.gen(function* () {
        const source = new Source()
        source.instead = () => new Promise<string>(() => {})
        const { network } = yield* makeWorld(source, { token_timeout_ms: 5_000 })
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual([source.asked, yield* network.knocks], [1, 0])
        source.instead = () => Promise.reject(new Error("no network"))
        yield* TestClock.adjust("2 seconds")
        assert.isAtLeast(source.asked, 2)
        source.instead = undefined
        const peer = yield* nextOf(network)
        assert.strictEqual(peer.token, `t${source.asked}`)
      }),
  )

  it.effect.each([
    { what: "fails", instead: () => Promise.reject(new Error("no network")), reason: "no token: no network" },
    { what: "gives no text", instead: () => "", reason: "no token: it is no text" },
  ])("whose source $what for as many attempts as a client makes, is the end of it", ({ instead, reason }) =>
    Effect.gen(function* () {
      const source = new Source()
      source.instead = instead
      const { client, network } = yield* makeWorld(source, { reconnect_attempts: 3 })
      yield* tries(3)
      const error = yield* Effect.flip(client.failed)
      assert.deepInclude(error, { _tag: "Unreachable", reason })
      assert.deepStrictEqual([source.asked, yield* network.knocks], [4, 0])
    }),
  )

  it.effect("is asked for by one call at a time, whoever needs it", () =>
    Effect.gen(function* () {
      const source = new Source()
      const { network } = yield* makeWorld(source)
      const gateway = yield* network.accept
      const answers: Array<(token: string) => void> = []
      source.instead = () => new Promise((resolve) => answers.push(resolve))
      yield* gateway.send(welcome, { type: "expiring", seconds: 60 })
      yield* TestClock.adjust("1 second")
      // The connection breaks while the source is asked, and the next one needs a token too.
      yield* tries(3)
      yield* gateway.close(1006)
      yield* TestClock.adjust("1 second")
      const open = answers.length
      yield* TestClock.adjust("1 second")
      assert.lengthOf(answers, open)
      answers.at(-1)?.("late")
      assert.strictEqual((yield* nextOf(network)).token, "late")
      assert.lengthOf(answers, open)
    }),
  )

  it.effect("stands in no log line, whatever becomes of it", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(JSON.stringify(message)))
      const source = new Source()
      source.instead = () => `very-secret-${source.asked}`
      yield* Effect.gen(function* () {
        const { client, network } = yield* makeWorld(source)
        const gateway = yield* network.accept
        yield* gateway.send(welcome, { type: "expiring", seconds: 60 })
        yield* frameWithin(gateway, 1)
        yield* gateway.send({ type: "error", code: "TOKEN_INVALID", message: "no" })
        yield* gateway.close(closeCodes.unauthenticated.code)
        yield* (yield* nextOf(network)).close(closeCodes.unauthenticated.code)
        const error = yield* Effect.flip(client.failed)
        lines.push(JSON.stringify(error), error.message, String(error.stack))
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.isAbove(lines.length, 3)
      assert.notInclude(lines.join("\n"), "very-secret")
    }),
  )
})

describe("an event that its client may not send", () => {
  it.effect("is refused with the capability that is missing, and the others go on", () =>
    Effect.gen(function* () {
      const { client, network } = yield* makeWorld(undefined)
      const gateway = yield* network.accept
      yield* gateway.send(welcome)
      const sending = yield* Effect.forkScoped(Effect.flip(client.send("pay", 1, { id: "e1" })))
      yield* gateway.read
      const refused = { code: "FORBIDDEN", message: "the capability send:pay is missing", capability: "send:pay" }
      yield* gateway.send({ type: "refused", id: "e1", ...refused })
      const error = yield* Fiber.join(sending)
      assert(error._tag === "EventRefused")
      assert.deepStrictEqual(error.refusal, refused)
    }),
  )

  it.effect("or a task that it may not cancel, is not asked for again on the next connection", () =>
    Effect.gen(function* () {
      const { client, network } = yield* makeWorld(undefined)
      const gateway = yield* network.accept
      yield* gateway.send(welcome)
      yield* client.cancel("e1")
      assert.deepStrictEqual(
        (yield* gateway.read).map((frame) => JSON.parse(frame)),
        [{ type: "cancel", id: "e1" }],
      )
      yield* gateway.send({ type: "refused", id: "e1", code: "FORBIDDEN", message: "no", capability: "cancel" })
      yield* TestClock.adjust("1 second")
      yield* gateway.close(1006)
      const next = yield* nextOf(network)
      yield* next.send(welcome)
      assert.isUndefined(yield* frameWithin(next, 2))
    }),
  )
})
