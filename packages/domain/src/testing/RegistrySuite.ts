/**
 * The conformance suite of `Registry`: each entry changes only by `Status.transition`, whatever calls race.
 *
 * The suite runs with the real clock, and may share its store: every test uses its own ids, and checks only those.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Random, Schema, Stream } from "effect"
import { ClientId, Epoch, Owner, PodId } from "../protocol/Ids.ts"
import { type Presence, Registry } from "../services/Registry.ts"
import { seenWith, type StatusName } from "../protocol/Status.ts"
import { conformance } from "./Conformance.ts"
import { eventually } from "./Eventually.ts"
import { Call, isExplained } from "./RegistryModel.ts"

/** The contract of `Registry` as tests: call it in a test file with the layer to be tested. */
export const registrySuite = <E>(name: string, registry: Layer.Layer<Registry, E>) =>
  conformance(`Registry: ${name}`, registry, (it) => {
    it.effect("connect starts at the clock, and then takes one more than stored or the clock", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const epochs = yield* Effect.forEach([1_000, 1_000, 5, 2_000, 2_001], (atLeast) =>
          registry.connect(client("a"), pod("p"), Epoch.make(atLeast)),
        )
        assert.deepStrictEqual(epochs, [1_000, 1_001, 1_002, 2_000, 2_001])
        assert.deepStrictEqual(yield* statusOf(client("a")), { _tag: "REPLAYING", epoch: epoch(2_001), pod: pod("p") })
      }),
    )

    it.effect("clients have epochs of their own", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.connect(client("a"), pod("p"), epoch(7))
        assert.strictEqual(yield* registry.connect(client("b"), pod("p"), epoch(3)), epoch(3))
      }),
    )

    it.effect("only the same owner supersedes: another one is told where the session is, and changes nothing", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const [alice, bob] = [Owner.make("alice"), Owner.make("bob")]
        yield* registry.connect(client("a"), pod("p"), epoch(10), { owner: alice })
        const before = yield* statusOf(client("a"))
        assert.deepStrictEqual(before, { _tag: "REPLAYING", epoch: epoch(10), pod: pod("p"), owner: alice })
        const held = yield* Effect.flip(registry.connect(client("a"), pod("q"), epoch(20), { owner: bob }))
        assert.deepInclude({ ...held }, { _tag: "ClientInUse", pod: pod("p") })
        assert.deepStrictEqual(yield* statusOf(client("a")), before)
        yield* registry.write([presence(client("a"), 10, pod("p"), "LIVE", alice)])
        assert.strictEqual(
          (yield* Effect.flip(registry.connect(client("a"), pod("p"), epoch(20), { owner: bob })))._tag,
          "ClientInUse",
        )
        assert.strictEqual(yield* registry.connect(client("a"), pod("q"), epoch(20), { owner: alice }), epoch(20))
      }),
    )

    it.effect("another owner may connect once the session is OFFLINE, or its pod is known to be gone", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const [alice, bob] = [Owner.make("alice"), Owner.make("bob")]
        yield* registry.connect(client("a"), pod("p"), epoch(10), { owner: alice })
        yield* registry.write([presence(client("a"), 10, pod("p"), "OFFLINE", alice)])
        assert.strictEqual(yield* registry.connect(client("a"), pod("q"), epoch(20), { owner: bob }), epoch(20))
        const by = { owner: alice, gone: pod("p") }
        assert.strictEqual(
          (yield* Effect.flip(registry.connect(client("a"), pod("r"), epoch(30), by)))._tag,
          "ClientInUse",
        )
        assert.strictEqual(
          yield* registry.connect(client("a"), pod("r"), epoch(30), { ...by, gone: pod("q") }),
          epoch(30),
        )
      }),
    )

    it.effect("where one of two has no owner, it supersedes as without locks", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const alice = Owner.make("alice")
        yield* registry.connect(client("a"), pod("p"), epoch(10))
        assert.strictEqual(yield* registry.connect(client("a"), pod("q"), epoch(1), { owner: alice }), epoch(11))
        assert.strictEqual(yield* registry.connect(client("a"), pod("p"), epoch(1)), epoch(12))
        assert.deepStrictEqual(yield* statusOf(client("a")), { _tag: "REPLAYING", epoch: epoch(12), pod: pod("p") })
      }),
    )

    it.effect("of racing connects of two owners one owner's get in, and its session is left", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const owners = Array.from({ length: 40 }, (_, i) => Owner.make(i % 2 === 0 ? "alice" : "bob"))
        const gotIn = yield* Effect.forEach(
          owners,
          (owner, i) =>
            registry.connect(client("a"), pod(`p${i}`), epoch(1), { owner }).pipe(
              Effect.as([owner]),
              Effect.catchTag("ClientInUse", () => Effect.succeed([])),
            ),
          { concurrency: "unbounded" },
        )
        const [winner, ...more] = new Set(gotIn.flat())
        assert.lengthOf(more, 0)
        assert.strictEqual((yield* statusOf(client("a")))?.owner, winner)
        assert.lengthOf(gotIn.flat(), 20)
      }),
    )

    it.effect("racing connects get an epoch each, and the highest is stored with its pod", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const connects = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, i) => pod(`p${i}`)),
          (pod) => Effect.map(registry.connect(client("a"), pod, epoch(1)), (epoch) => ({ epoch, pod })),
          { concurrency: "unbounded" },
        )
        const last = connects.find(({ epoch }) => epoch === 50)
        assert.strictEqual(new Set(connects.map(({ epoch }) => epoch)).size, 50)
        assert.deepStrictEqual(yield* statusOf(client("a")), { _tag: "REPLAYING", epoch: epoch(50), pod: last!.pod })
      }),
    )

    it.effect("a write holds at the stored epoch or above, and answers for each in order", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.connect(client("a"), pod("p"), epoch(10))
        const held = yield* registry.write([
          presence(client("a"), 10, pod("p"), "LIVE"),
          presence(client("a"), 9, pod("p"), "OFFLINE"),
          presence(client("b"), 4, pod("p"), "REPLAYING"),
          presence(client("a"), 12, pod("q"), "LIVE"),
          presence(client("a"), 11, pod("p"), "OFFLINE"),
        ])
        assert.deepStrictEqual(held, [true, false, true, true, false])
        assert.deepStrictEqual(yield* statusOf(client("a")), { _tag: "LIVE", epoch: epoch(12), pod: pod("q") })
        assert.deepStrictEqual(yield* statusOf(client("b")), { _tag: "REPLAYING", epoch: epoch(4), pod: pod("p") })
      }),
    )

    it.effect("forgets who is OFFLINE, and answers for each in order", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        for (const name of ["a", "b", "c"]) yield* registry.connect(client(name), pod("p"), epoch(10))
        yield* registry.write([
          presence(client("a"), 10, pod("p"), "OFFLINE"),
          presence(client("b"), 10, pod("p"), "LIVE"),
        ])
        const gone = yield* registry.forget([client("b"), client("a"), client("c"), client("nobody")])
        assert.deepStrictEqual(gone, [false, true, false, true])
        assert.isUndefined(yield* statusOf(client("a")))
        assert.deepStrictEqual(yield* statusOf(client("b")), { _tag: "LIVE", epoch: epoch(10), pod: pod("p") })
        assert.deepStrictEqual(yield* statusOf(client("c")), { _tag: "REPLAYING", epoch: epoch(10), pod: pod("p") })
        assert.strictEqual(yield* registry.connect(client("a"), pod("p"), epoch(20)), epoch(20))
      }),
    )

    it.effect("of two sessions with one epoch on two pods, the one stored stays", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.connect(client("a"), pod("last"), epoch(10))
        const held = yield* registry.write([
          presence(client("a"), 10, pod("first"), "LIVE"),
          presence(client("a"), 10, pod("last"), "LIVE"),
          presence(client("a"), 10, pod("first"), "OFFLINE"),
        ])
        assert.deepStrictEqual(held, [false, true, false])
        assert.deepStrictEqual(yield* statusOf(client("a")), { _tag: "LIVE", epoch: epoch(10), pod: pod("last") })
      }),
    )

    it.effect("a refused write changes nothing", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.connect(client("a"), pod("p"), epoch(10))
        const before = yield* statusOf(client("a"))
        assert.deepStrictEqual(yield* registry.write([presence(client("a"), 9, pod("q"), "LIVE")]), [false])
        assert.deepStrictEqual(yield* statusOf(client("a")), before)
      }),
    )

    it.effect("after a wipe a session's write holds, whatever it says", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        assert.deepStrictEqual(yield* registry.write([presence(client("a"), 77, pod("p"), "LIVE")]), [true])
        assert.strictEqual(yield* registry.connect(client("a"), pod("p"), epoch(1)), epoch(78))
      }),
    )

    it.effect("of racing writes the highest epoch is left", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const writers = Array.from({ length: 20 }, (_, writer) =>
          Array.from({ length: 10 }, (_, i) => presence(client("a"), 1 + i * 20 + writer, pod(`p${writer}`), "LIVE")),
        )
        yield* Effect.forEach(
          writers,
          (own) => Effect.forEach(own, (presence) => registry.write([presence]), { discard: true }),
          { concurrency: "unbounded", discard: true },
        )
        assert.deepStrictEqual(yield* statusOf(client("a")), { _tag: "LIVE", epoch: epoch(200), pod: pod("p19") })
      }),
    )

    it.effect("names the pod that holds each client in the order asked, and none for one OFFLINE or unknown", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.write([
          presence(client("a"), 1, pod("p"), "LIVE"),
          presence(client("b"), 1, pod("q"), "REPLAYING"),
          presence(client("c"), 1, pod("p"), "OFFLINE"),
        ])
        const asked = ["b", "unknown", "a", "c", "b"].map(client)
        assert.deepStrictEqual(yield* registry.pods(asked), [pod("q"), undefined, pod("p"), undefined, pod("q")])
      }),
    )

    it.effect("tells what is stored of each client in the order asked, and nothing of one unknown", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.write([
          presence(client("a"), 1, pod("p"), "OFFLINE"),
          presence(client("b"), 2, pod("q"), "LIVE"),
        ])
        assert.deepStrictEqual(yield* registry.statuses(["b", "unknown", "a", "b"].map(client)), [
          { _tag: "LIVE", epoch: epoch(2), pod: pod("q") },
          undefined,
          { _tag: "OFFLINE", epoch: epoch(1), pod: pod("p") },
          { _tag: "LIVE", epoch: epoch(2), pod: pod("q") },
        ])
      }),
    )

    it.effect("a lease is refused while a live pod holds it", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { pod } = yield* freshIds
        yield* registry.lease(pod("p"), a_minute_ms)
        const taken = yield* Effect.flip(registry.lease(pod("p"), a_minute_ms))
        assert.strictEqual(taken._tag, "PodTaken")
        yield* registry.lease(pod("q"), a_minute_ms)
        assert.deepStrictEqual(yield* livePodsOf(pod("p"), pod("q"), pod("r")), [pod("p"), pod("q")])
      }),
    )

    it.effect("of racing leases of one pod exactly one is granted", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { pod } = yield* freshIds
        const granted = yield* Effect.forEach(
          Array.from({ length: 20 }),
          () =>
            registry.lease(pod("p"), a_minute_ms).pipe(
              Effect.as(true),
              Effect.catchTag("PodTaken", () => Effect.succeed(false)),
            ),
          { concurrency: "unbounded" },
        )
        assert.strictEqual(granted.filter(Boolean).length, 1)
      }),
    )

    it.effect("a lease that was released is gone at once and can be taken again", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { pod } = yield* freshIds
        yield* registry.lease(pod("p"), a_minute_ms)
        yield* registry.release(pod("p"))
        assert.deepStrictEqual(yield* livePodsOf(pod("p")), [])
        yield* registry.lease(pod("p"), a_minute_ms)
        yield* registry.release(pod("never-leased"))
      }),
    )

    it.effect("a lease runs out, and can be taken again", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { pod } = yield* freshIds
        yield* registry.lease(pod("p"), 50)
        yield* eventually(
          "the lease runs out",
          Effect.map(livePodsOf(pod("p")), (live) => live.length === 0),
        )
        yield* registry.lease(pod("p"), a_minute_ms)
        assert.deepStrictEqual(yield* livePodsOf(pod("p")), [pod("p")])
      }),
    )

    it.effect("renewing makes a lease last, and brings back one that has run out or was wiped", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { pod } = yield* freshIds
        yield* registry.lease(pod("renewed"), 200)
        yield* registry.lease(pod("other"), 200)
        yield* registry.renew(pod("renewed"), a_minute_ms)
        yield* eventually(
          "the lease that was not renewed runs out",
          Effect.map(livePodsOf(pod("other")), (live) => live.length === 0),
        )
        assert.deepStrictEqual(yield* livePodsOf(pod("renewed")), [pod("renewed")])
        yield* registry.renew(pod("other"), a_minute_ms)
        yield* registry.renew(pod("wiped"), a_minute_ms)
        assert.deepStrictEqual(yield* livePodsOf(pod("other"), pod("wiped")), [pod("other"), pod("wiped")])
      }),
    )

    it.effect("entries are as stored, and count as OFFLINE once the lease of their pod is gone", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.lease(pod("p"), a_minute_ms)
        yield* registry.write([presence(client("a"), 1, pod("p"), "LIVE")])
        assert.strictEqual(yield* seen(client("a")), "LIVE")
        yield* registry.release(pod("p"))
        assert.strictEqual(yield* seen(client("a")), "OFFLINE")
        assert.strictEqual((yield* statusOf(client("a")))?._tag, "LIVE")
      }),
    )

    it.effect.prop("a caller gets every reply of the pure machine, and its status is left", [calls], ([calls]) =>
      Effect.gen(function* () {
        const { run } = yield* freshIds
        assert.isTrue(yield* isExplained([calls], run))
      }),
    )

    it.effect.prop("callers at once get replies, and leave a status, that some order explains", [racing], ([callers]) =>
      Effect.gen(function* () {
        const { run } = yield* freshIds
        assert.isTrue(yield* isExplained(callers, run))
      }),
    )

    it.effect("takes a chunk of 10,000 presences, and one of none", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const clients = Array.from({ length: 10_000 }, (_, i) => client(`c${i}`))
        const chunk = clients.map((clientId) => presence(clientId, 1, pod("p"), "LIVE"))
        assert.isTrue((yield* registry.write(chunk)).every((held) => held))
        assert.isTrue((yield* registry.pods(clients)).every((holder) => holder === pod("p")))
        assert.deepStrictEqual(yield* registry.write([]), [])
        assert.deepStrictEqual(yield* registry.pods([]), [])
      }),
    )
  })

/**
 * Tests that idle clients are forgotten. `makeLayer` gives an empty registry that forgets after `idle_ms`. `pass` lets
 * some of that time pass.
 */
export const registryIdleSuite = <E>(
  name: string,
  registry: Layer.Layer<Registry, E>,
  pass: Effect.Effect<void>,
): void => {
  describe(`Registry: ${name}, of clients that do not come`, () => {
    const test = (sentence: string, body: Effect.Effect<void, unknown, Registry>) =>
      it.effect(sentence, () => Effect.provide(body, registry), 60_000)
    /** Lets time pass until `client` is forgotten. */
    const untilForgotten = Effect.fnUntraced(function* (
      client: ClientId,
      meanwhile: Effect.Effect<unknown, unknown, Registry>,
    ) {
      const { statuses } = yield* Registry
      for (let passes = 0; (yield* statuses([client]))[0] !== undefined; passes++) {
        assert.isBelow(passes, 10_000, "it is never forgotten")
        yield* meanwhile
        yield* pass
      }
    })

    test(
      "an entry that nobody writes is forgotten, and one that is written stays, once",
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        const [gone, here] = [client("gone"), client("here")]
        yield* registry.write([gone, here].map((clientId) => presence(clientId, 5, pod("p"), "OFFLINE")))
        const look = Effect.gen(function* () {
          assert.deepStrictEqual(yield* registry.write([presence(here, 5, pod("p"), "LIVE")]), [true])
          const entries = yield* Stream.runCollect(registry.entries)
          assert.strictEqual(entries.filter(({ clientId }) => clientId === here).length, 1)
        })
        yield* untilForgotten(gone, look)
        assert.deepStrictEqual(yield* registry.pods([gone, here]), [undefined, pod("p")])
        assert.strictEqual(yield* registry.connect(gone, pod("p"), epoch(3)), epoch(3))
      }),
    )

    test(
      "epochs of a client that comes again and again go on growing, and older ones are refused",
      Effect.gen(function* () {
        const registry = yield* Registry
        const { client, pod } = yield* freshIds
        yield* registry.write([presence(client("gone"), 1, pod("p"), "OFFLINE")])
        let last = yield* registry.connect(client("a"), pod("p"), epoch(7))
        const again = Effect.gen(function* () {
          const next = yield* registry.connect(client("a"), pod("p"), epoch(1))
          assert.strictEqual(next, epoch(last + 1))
          assert.deepStrictEqual(yield* registry.write([presence(client("a"), last, pod("p"), "LIVE")]), [false])
          last = next
        })
        yield* untilForgotten(client("gone"), again)
      }),
    )
  })
}

const a_minute_ms = 60_000
const calls = Schema.Array(Call)
const few = calls.check(Schema.isMaxLength(4))
const racing = Schema.Tuple([few, few, few])

const epoch = (n: number) => Epoch.make(n)

const presence = (clientId: ClientId, epoch: number, pod: PodId, status: StatusName, owner?: Owner): Presence => ({
  clientId,
  epoch: Epoch.make(epoch),
  pod,
  status,
  owner,
})

const freshIds = Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) => ({
  run: `suite-${n}`,
  client: (name: string) => ClientId.make(`suite-${n}:${name}`),
  pod: (name: string) => PodId.make(`suite-${n}:${name}`),
}))

const statusOf = Effect.fnUntraced(function* (clientId: ClientId) {
  const entries = yield* Stream.runCollect((yield* Registry).entries)
  return entries.find((entry) => entry.clientId === clientId)?.status
})

const livePodsOf = Effect.fnUntraced(function* (...pods: ReadonlyArray<PodId>) {
  const live = new Set(yield* (yield* Registry).livePods)
  return pods.filter((pod) => live.has(pod))
})

/** The status as other processes should see it. */
const seen = Effect.fnUntraced(function* (clientId: ClientId) {
  const status = yield* statusOf(clientId)
  return status && seenWith(status, new Set(yield* (yield* Registry).livePods))
})
