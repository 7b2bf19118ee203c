/** The conformance suite of `Members`. Every test uses its own ids. */
import { assert } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { PodId } from "../protocol/Ids.ts"
import { type Member, Members } from "../services/Members.ts"
import { conformance } from "./Conformance.ts"
import { eventually } from "./Eventually.ts"

/** The contract of `Members` as tests: call it in a test file with the layer to be tested. */
export const membersSuite = <E>(name: string, members: Layer.Layer<Members, E>) =>
  conformance(`Members: ${name}`, members, (it) => {
    it.effect("a member is there once, with all that it says of itself, until it withdraws", () =>
      Effect.gen(function* () {
        const { announce, withdraw } = yield* Members
        const [one, two] = [memberOf("gateway"), memberOf("event-consumer,status-manager")]
        yield* announce(one, a_minute_ms)
        yield* announce(two, a_minute_ms)
        yield* announce(one, a_minute_ms)
        assert.sameDeepMembers(yield* these(one, two), [one, two])
        yield* withdraw(one)
        yield* withdraw(one)
        assert.deepStrictEqual(yield* these(one, two), [two])
      }),
    )

    it.effect("one that says nothing any more is forgotten, and comes back when it does", () =>
      Effect.gen(function* () {
        const { announce } = yield* Members
        const one = memberOf("gateway")
        yield* announce(one, 50)
        yield* eventually(
          "it is forgotten",
          Effect.map(these(one), (found) => found.length === 0),
        )
        yield* announce(one, a_minute_ms)
        assert.deepStrictEqual(yield* these(one), [one])
      }),
    )
  })

const a_minute_ms = 60_000

const memberOf = (role: string): Member => ({
  id: PodId.make(`p-${crypto.randomUUID()}`),
  host: "höst",
  address: "127.0.0.1:3000",
  role,
})

/** Those of these members that are present. */
const these = (...some: ReadonlyArray<Member>) =>
  Effect.map(
    Effect.flatMap(Members, ({ all }) => all),
    (all) => all.filter(({ id }) => some.some((one) => one.id === id)),
  )
