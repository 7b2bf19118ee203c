import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { FinishedSet } from "../protocol/FinishedSet.ts"
import { committedBy, groupOf, lagOf, type Role } from "./Groups.ts"
import { Incarnation } from "../protocol/Ids.ts"
import { Topics } from "./Topics.ts"

const { defaults } = Topics
const other = { ...defaults, events: "kia-events", results: "kia-results", dlq: "kia-dlq" }
const roles: ReadonlyArray<Role> = [
  "event-consumer",
  "result-consumer",
  "replay-consumer",
  "task-worker",
  "results-writer",
  "chats-writer",
  "messages-writer",
]

describe("groupOf", () => {
  it("with the default topics is the name that it always had", () => {
    for (const role of roles) assert.strictEqual(groupOf(role, defaults), `nimbus-${role}`)
    const open = { ...defaults, messages: Topics.openDefault }
    assert.strictEqual(groupOf("messages-writer", open), "nimbus-messages-writer")
    assert.notStrictEqual(groupOf("messages-writer", { ...open, messages: "kia" }), "nimbus-messages-writer")
  })

  it("with topics of one's own is another, and the same for all processes", () => {
    assert.strictEqual(groupOf("event-consumer", other), "nimbus-event-consumer-491854ddd8b93e44")
    const another = { ...other, dlq: "kib-dlq" }
    for (const role of roles) {
      assert.notStrictEqual(groupOf(role, other), groupOf(role, defaults))
      assert.notStrictEqual(groupOf(role, other), groupOf(role, another))
    }
  })

  it("is another for those who read chats that two installations share, and no other for the rest", () => {
    assert.notStrictEqual(groupOf("chats-writer", other), groupOf("chats-writer", defaults))
    const chats = { ...defaults, chats: "kia-chats" }
    assert.notStrictEqual(groupOf("chats-writer", chats), groupOf("chats-writer", defaults))
    assert.strictEqual(groupOf("event-consumer", chats), groupOf("event-consumer", defaults))
  })
})

describe("committedBy", () => {
  const logWith = (commits: Readonly<Record<string, number>>) => ({
    committed: (topic: string, group: string) => {
      const next = commits[`${group} ${topic}`]
      return Effect.succeed(next === undefined ? undefined : { next, metadata: "" })
    },
  })
  const before = "nimbus-event-consumer kia-events"
  const now = `${groupOf("event-consumer", other)} kia-events`

  it.effect("is what was committed under the shared name, until there is a commit under one's own", () =>
    Effect.gen(function* () {
      const at = (commits: Readonly<Record<string, number>>) =>
        committedBy(logWith(commits), "event-consumer", other, 0)
      assert.strictEqual((yield* at({ [before]: 7 }))?.next, 7)
      assert.strictEqual((yield* at({ [before]: 7, [now]: 3 }))?.next, 3)
      assert.isUndefined(yield* at({ "nimbus-event-consumer nimbus-events-v1": 7 }))
    }),
  )
})

describe("lagOf", () => {
  const life = Incarnation.make("a life")
  const committed = (next: number) => ({ next, metadata: "" })

  it.each([
    [{ earliest: 0, end: 9, committed: committed(9) }, 0],
    [{ earliest: 0, end: 9, committed: committed(8) }, 1],
    [{ earliest: 0, end: 1, committed: undefined }, 1],
    [{ earliest: 5, end: 9, committed: committed(2) }, 4],
    [{ earliest: 9, end: 9, committed: committed(2) }, 0],
  ] as const)("of %o is %i", (partition, lag) => {
    assert.strictEqual(lagOf(partition, life), lag)
  })

  it("does not count what is finished above the commit", () => {
    const set = new FinishedSet(2)
    const offsets = [2, 3, 4, 5, 6, 7, 8]
    set.read(
      offsets.map((offset) => ({ offset })),
      9,
    )
    for (const offset of [3, 4, 6]) set.finish(offset)
    assert.strictEqual(lagOf({ earliest: 0, end: 9, committed: set.committed(life) }, life), 4)
    assert.strictEqual(lagOf({ earliest: 0, end: 9, committed: set.committed(life) }, Incarnation.make("b")), 7)
  })
})
