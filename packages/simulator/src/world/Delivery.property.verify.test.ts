/**
 * The whole protocol under random interleavings, losses, repeats, crashes and stores that roll back: production router,
 * session and stores in the world of this folder. After each step and at the end, every client's list is exactly
 * its 1, 2, 3, …, every bound holds, and in the end everyone is LIVE.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as World from "./index.ts"

const steps = 400
const seeds = 2_500
/** They take longer. */
const busy_seeds = 400
const lists = 500

const Bits = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 }))

const holdForSeeds = (withLosses: boolean, withTraffic = false): void => {
  for (let seed = 0; seed < (withTraffic ? busy_seeds : seeds); seed++) {
    const options = World.ofSeed(seed, steps, withLosses, withTraffic)
    const failure = World.run(options)
    if (failure !== undefined) assert.fail(`seed ${seed}: ${World.explain(options, failure)}`)
  }
}

describe("Delivery", () => {
  it("gives each client its results exactly once, in order, whatever dies", () => holdForSeeds(false), 180_000)

  it("tells of every result that retention or limits removed, and gives the others", () => holdForSeeds(true), 180_000)

  it(
    "makes everyone LIVE once faults stop, also under traffic, and then sends no barriers any more",
    () => holdForSeeds(false, true),
    180_000,
  )

  it.prop(
    "holds for any list of steps, with or without losses",
    {
      mix: Bits,
      withLosses: Schema.Boolean,
      choices: Arbitrary.array(Arbitrary.schema(Bits), { maxLength: 2 * steps }),
    },
    (options) => {
      const failure = World.run(options)
      if (failure !== undefined) assert.fail(World.account(failure))
    },
    { timeout: 180_000, arbitrary: { runs: lists, size: 2 * steps } },
  )

  it("meets LIVE clients, pushes, replays, repeats and every fault on the way", () => {
    const seen = new Map<string, number>()
    for (let seed = 0; seed < 200; seed++) {
      World.play(World.ofSeed(seed, steps, true), (did) => {
        for (const sight of sights) if (did?.includes(sight) === true) seen.set(sight, (seen.get(sight) ?? 0) + 1)
      })
    }
    for (const sight of sights) assert.isAbove(seen.get(sight) ?? 0, 3, sight)
  })
})

/** Words of the trace: a world in which one of these never happens would prove nothing about it. */
const sights = [
  "pushes",
  "spills",
  "shows",
  "is told LIVE",
  "is told REPLAYING",
  "is told lost",
  "nobody received",
  "differs, goes on from",
  "superseded",
  "which it does not hold",
  "is heard by nobody",
  "comes twice",
  "finished above",
  "takes event ",
  "loses its socket",
  "crashes",
  "takes over at event",
  "takes over at result",
  "takes over at dlq",
  "owns the results again",
  "gets no page",
  "gets no answer",
  "roll back",
  "is wiped",
  "drains",
  "is refused",
]
