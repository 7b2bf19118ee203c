import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ConsumerGroup, type Member } from "./ConsumerGroup.ts"

const partitions = 12
const owners = (members: ReadonlyArray<Member>) => members.map(({ owned }) => [...owned.keys()])

describe("ConsumerGroup", () => {
  const Step = Schema.Union([Schema.Literal("join"), Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))])

  it.effect.prop(
    "whoever comes and goes, each partition has one owner and shares differ by at most one",
    [Schema.Array(Step)],
    ([steps]) =>
      Effect.sync(() => {
        const group = new ConsumerGroup(partitions)
        let members: Array<Member> = []
        for (const step of steps) {
          const leaving = step === "join" ? undefined : members[step % Math.max(1, members.length)]
          if (step === "join") members.push(group.join())
          if (leaving !== undefined) group.leave(leaving)
          members = members.filter((member) => member !== leaving)
          if (members.length === 0) continue
          const owned = owners(members)
          assert.deepStrictEqual(
            owned.flat().toSorted((a, b) => a - b),
            Array.from({ length: partitions }, (_, p) => p),
          )
          const sizes = owned.map(({ length }) => length)
          assert.isAtMost(Math.max(...sizes) - Math.min(...sizes), 1)
        }
      }),
  )

  it("moves no more partitions than the shares ask for", () => {
    const group = new ConsumerGroup(partitions)
    const [a, b] = [group.join(), group.join()]
    const before = owners([a, b])
    const c = group.join()
    const [nowA, nowB, nowC] = owners([a, b, c])
    assert.strictEqual(nowC?.length, 4)
    assert.includeMembers(before[0] ?? [], nowA ?? [])
    assert.includeMembers(before[1] ?? [], nowB ?? [])
  })

  it.effect("hands out what is still owned when it is pulled, and nothing that was lost before", () =>
    Effect.gen(function* () {
      const group = new ConsumerGroup(2)
      const a = group.join()
      const b = group.join()
      assert.deepStrictEqual(
        (yield* a.next).map(({ partition }) => partition),
        [0],
      )
      assert.deepStrictEqual(
        (yield* b.next).map(({ partition }) => partition),
        [1],
      )
      group.leave(b)
      assert.deepStrictEqual(
        (yield* a.next).map(({ partition }) => partition),
        [1],
      )
    }),
  )

  it.effect("may be joined and left by those who are told that they lost a partition", () =>
    Effect.gen(function* () {
      const group = new ConsumerGroup(2)
      const a = group.join()
      const [first, second] = yield* a.next
      first.wake = () => group.leave(a)
      if (second !== undefined) second.wake = () => group.leave(a)
      const b = group.join()
      assert.deepStrictEqual(owners([a, b]), [[], [1, 0]])
    }),
  )
})
