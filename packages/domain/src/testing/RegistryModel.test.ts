import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema, Stream } from "effect"
import { ClientInUse } from "../Errors.ts"
import { Epoch } from "../protocol/Ids.ts"
import { Registry } from "../services/Registry.ts"
import { makeMemory } from "../services/RegistryMemory.ts"
import { Call, isExplained } from "./RegistryModel.ts"

type Shape = Registry["Service"]

/** Registries that each break their contract in one way. */
const broken: Record<string, (sound: Shape) => Partial<Shape>> = {
  "hands out the clock as the epoch": (sound) => ({
    connect: (clientId, pod, atLeast) => Effect.as(sound.connect(clientId, pod, atLeast), atLeast),
  }),
  "says that every write held": (sound) => ({
    write: (presences) => Effect.map(sound.write(presences), (held) => held.map(() => true)),
  }),
  "loses the last presence of a chunk": (sound) => ({
    write: (presences) => Effect.map(sound.write(presences.slice(0, -1)), (held) => [...held, true]),
  }),
  "answers pods in another order": (sound) => ({
    pods: (clientIds) => Effect.map(sound.pods(clientIds), (pods) => pods.toReversed()),
  }),
}

/** Correct for one caller, but other calls come between its read and its write. */
const racy = (sound: Shape): Partial<Shape> => ({
  connect: (clientId, pod, atLeast, by) =>
    Effect.gen(function* () {
      const entries = yield* Stream.runCollect(sound.entries)
      const stored = entries.find((entry) => entry.clientId === clientId)?.status
      const { gone, owner } = by ?? {}
      const held = stored !== undefined && stored._tag !== "OFFLINE" && stored.pod !== gone ? stored : undefined
      if (held?.owner !== undefined && owner !== undefined && held.owner !== owner)
        return yield* new ClientInUse({ pod: held.pod })
      const epoch = Epoch.make(Math.max((stored?.epoch ?? -1) + 1, atLeast))
      yield* Effect.yieldNow
      yield* sound.write([{ clientId, pod, epoch, status: "REPLAYING", owner }])
      return epoch
    }),
})

describe("RegistryModel", () => {
  it.effect("explains a sound registry", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* check(threeCallers, () => ({})))._tag, "Passed")
    }),
  )

  it.effect.each(Object.entries(broken))("notices a registry that %s", ([, breakIt]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* check(oneCaller, breakIt))._tag, "Falsified")
    }),
  )

  it.effect("notices a race, which takes several callers", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* check(oneCaller, racy))._tag, "Passed")
      assert.strictEqual((yield* check(threeCallers, racy))._tag, "Falsified")
    }),
  )
})

const few = Schema.Array(Call).check(Schema.isMaxLength(4))
const oneCaller = Arbitrary.schema(Schema.Tuple([few]))
const threeCallers = Arbitrary.schema(Schema.Tuple([few, few, few]))

const check = (
  callers: Arbitrary.Arbitrary<ReadonlyArray<ReadonlyArray<Call>>>,
  breakIt: (sound: Shape) => Partial<Shape>,
) =>
  Arbitrary.checkEffect(
    callers,
    (callers) =>
      Effect.suspend(() => {
        const sound = makeMemory().registry
        return isExplained(callers, "run").pipe(Effect.provideService(Registry, { ...sound, ...breakIt(sound) }))
      }),
    // A check that detects it once always does.
    { seed: 1 },
  )
