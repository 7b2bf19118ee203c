import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ClientId, Epoch, PodId } from "../protocol/Ids.ts"
import { registryLimits } from "../Limits.ts"
import type { Presence } from "./Registry.ts"
import { layerMemory, makeMemory } from "./RegistryMemory.ts"
import { registryIdleSuite, registrySuite } from "../testing/RegistrySuite.ts"

registrySuite("in memory", layerMemory())
registryIdleSuite("in memory", layerMemory({ ...registryLimits, idle_ms: 1_000 }), TestClock.adjust(400))

describe("RegistryMemory", () => {
  it.effect("a lease lasts its time to live by Effect's clock, and not a ms longer", () =>
    Effect.gen(function* () {
      const { registry } = makeMemory()
      yield* registry.lease(pod, 1_000)
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(yield* registry.livePods, [pod])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* registry.livePods, [])
    }),
  )

  it.effect("rolled back, it is as it was, and what it hands out next it may have handed out before", () =>
    Effect.gen(function* () {
      const { registry, restore, snapshot } = makeMemory()
      yield* registry.connect(client("a"), pod, Epoch.make(5))
      const before = snapshot()
      const lost = yield* registry.connect(client("a"), pod, Epoch.make(5))
      yield* registry.lease(pod, 1_000)
      restore(before)
      assert.deepStrictEqual(yield* registry.livePods, [])
      assert.strictEqual(yield* registry.connect(client("a"), pod, Epoch.make(5)), lost)
      restore(before)
      assert.deepStrictEqual(yield* registry.pods([client("a")]), [pod])
    }),
  )

  it.effect("wiped, it knows nobody, and epochs go on growing by the clock", () =>
    Effect.gen(function* () {
      const { registry, wipe } = makeMemory()
      yield* registry.lease(pod, 1_000)
      yield* registry.connect(client("a"), pod, Epoch.make(5))
      wipe()
      assert.deepStrictEqual(yield* Stream.runCollect(registry.entries), [])
      assert.deepStrictEqual(yield* registry.livePods, [])
      assert.strictEqual(yield* registry.connect(client("a"), pod, Epoch.make(6)), Epoch.make(6))
    }),
  )

  it.effect("beyond its bound it forgets who came first, and nobody else", () =>
    Effect.gen(function* () {
      const { registry } = makeMemory({ ...registryLimits, entries: 32 })
      yield* registry.write(Array.from({ length: 33 }, (_, i) => live(client(`c${i}`))))
      const known = yield* Stream.runCollect(registry.entries)
      assert.deepStrictEqual(
        known.map((entry) => entry.clientId),
        Array.from({ length: 30 }, (_, i) => client(`c${i + 3}`)),
      )
    }),
  )

  it.effect("a connect is refused where no higher epoch is left", () =>
    Effect.gen(function* () {
      const { registry } = makeMemory()
      yield* registry.write([{ ...live(client("a")), epoch: Epoch.make(Number.MAX_SAFE_INTEGER) }])
      const refused = yield* Effect.flip(registry.connect(client("a"), pod, Epoch.make(1)))
      assert.strictEqual(refused._tag, "RegistryUnavailable")
    }),
  )
})

const pod = PodId.make("p1")
const client = (id: string) => ClientId.make(id)
const live = (clientId: ClientId): Presence => ({ clientId, pod, epoch: Epoch.make(1), status: "LIVE" })
