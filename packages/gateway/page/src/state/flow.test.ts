import { assert, describe, it } from "@effect/vitest"
import { Incarnation } from "@nimbus/domain/protocol"
import type { Snapshot } from "@nimbus/domain/admin"
import { flowOf, inWords } from "./flow.ts"

const quiet: Snapshot = {
  incarnation: Incarnation.make("i"),
  partitions: 1,
  clients: { OFFLINE: 2, REPLAYING: 1, LIVE: 3 },
  clientsMore: false,
  pods: [],
  lag: { events: 0, results: 1, dlq: 0 },
  quarantined: 0,
  pulse: {
    at: 0,
    accepted_per_s: 0,
    delivered_per_s: 0,
    replayed_per_s: 0,
    topics: { events_per_s: 120, results_per_s: 100, dlq_per_s: 40 },
  },
  topics: [],
  roles: [{ role: "event-consumer", isRunning: true }],
  tasks: { tasks: [], running: 0, waiting: 0, more: false, unread: 0 },
  rows: [],
  rowsMore: false,
  stale: [],
}

describe("flow", () => {
  it("tells what each way carries: what is not spilled goes to clients that are LIVE", () => {
    const { places, ways } = flowOf(quiet)
    assert.strictEqual(places.transports.note, "4 connected")
    assert.deepStrictEqual(
      [ways.accepted.note, ways.handled.note, ways.pushed.note, ways.spilled.note, ways.put.note, ways.replayed.note],
      ["120/s", "100/s", "60/s", "40/s", "40/s", "0/s"],
    )
    assert.deepStrictEqual([ways.accepted.pace, ways.spilled.pace, ways.replayed.pace], ["brisk", "slow", "still"])
  })

  it("tells how many results a second replays bring", () => {
    const { replayed } = flowOf(quiet, 3_000).ways
    assert.deepStrictEqual(
      [replayed.carrier, replayed.note, replayed.pace],
      ["to 1 REPLAYING client", "3,000/s", "fast"],
    )
  })

  it("shows every way stopped whose consumer is, and no other", () => {
    const stopped = (role: string) => {
      const { ways } = flowOf({ ...quiet, roles: [{ role, isRunning: false }] })
      return Object.entries(ways).flatMap(([name, way]) => (way.isStopped ? [name] : []))
    }
    assert.deepStrictEqual(stopped("event-consumer"), ["handled"])
    assert.deepStrictEqual(stopped("result-consumer").sort(), ["pushed", "spilled"])
    assert.deepStrictEqual(stopped("replay-consumer"), ["put"])
    assert.deepStrictEqual(stopped("storage-writer"), [])
  })

  it("points at a place where records wait, and not at the one that a restart leaves", () => {
    assert.isFalse(flowOf(quiet).places.results.isBehind)
    assert.isTrue(flowOf({ ...quiet, lag: { events: 0, results: 5_000, dlq: 0 } }).places.results.isBehind)
  })

  it("claims nothing of rates before they are known", () => {
    const { topics: _, ...pulse } = quiet.pulse
    const { ways } = flowOf({ ...quiet, pulse })
    assert.deepStrictEqual([ways.accepted.note, ways.pushed.note, ways.put.pace], ["–", "–", "still"])
  })

  it("says the same in words", () => {
    const words = inWords(flowOf({ ...quiet, roles: [{ role: "event-consumer", isRunning: false }] }))
    assert.include(words, "Mailboxes: 2 clients offline.")
    assert.include(words, "handled, event consumer: stopped.")
  })
})
