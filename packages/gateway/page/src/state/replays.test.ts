import { assert, describe, it } from "@effect/vitest"
import { ClientId, Epoch, PodId, type Status } from "@nimbus/domain/protocol"
import type { ClientRow } from "@nimbus/domain/admin"
import { elsewhere_per_s, here_per_s, left_ms, observe, progress, type Replays } from "./replays.ts"

const row = (status: Status.StatusName, waiting: number, clientId = "c1"): ClientRow => ({
  clientId: ClientId.make(clientId),
  status,
  epoch: Epoch.make(1),
  pod: PodId.make("p1"),
  waiting,
})

/** One picture a second. */
const seen = (...snapshots: ReadonlyArray<ReadonlyArray<ClientRow>>): Replays =>
  snapshots.reduce<Replays>((before, rows, i) => observe(before, rows, (i + 1) * 1000), new Map())

describe("replays", () => {
  it("take what waited while the client was OFFLINE for the whole", () => {
    const replay = seen([row("OFFLINE", 1_000)], [row("REPLAYING", 750)]).get("c1")
    assert.isDefined(replay)
    assert.strictEqual(progress(replay), 0.25)
    assert.strictEqual(left_ms(replay), 3_000)
  })

  it("say nothing of the time left before the mailbox has begun to empty", () => {
    const replay = seen([row("REPLAYING", 500)], [row("REPLAYING", 500)]).get("c1")
    assert.isDefined(replay)
    assert.strictEqual(progress(replay), 0)
    assert.strictEqual(left_ms(replay), undefined)
  })

  it("smooth how fast it empties", () => {
    const replay = seen([row("REPLAYING", 1_000)], [row("REPLAYING", 800)], [row("REPLAYING", 400)]).get("c1")
    assert.isDefined(replay)
    assert.strictEqual(replay.rate_per_s, 300)
    assert.closeTo(left_ms(replay) ?? Number.NaN, 1_333, 1)
  })

  it("keep to what is known while a mailbox is seen unchanged, and not for ever", () => {
    const falling = [[row("REPLAYING", 1_000)], [row("REPLAYING", 800)]]
    const same = (times: number) => Array.from({ length: times }, () => [row("REPLAYING", 800)])
    assert.strictEqual(seen(...falling, ...same(5)).get("c1")?.rate_per_s, 200)
    assert.strictEqual(seen(...falling, ...same(20)).get("c1")?.rate_per_s, 0)
    assert.strictEqual(seen(...falling, ...same(1), [row("REPLAYING", 400)]).get("c1")?.rate_per_s, 200)
  })

  it("raise the whole when more mail comes in than is taken", () => {
    const replay = seen([row("REPLAYING", 100)], [row("REPLAYING", 300)]).get("c1")
    assert.isDefined(replay)
    assert.strictEqual(replay.total, 300)
    assert.strictEqual(progress(replay), 0)
  })

  it("forget who is LIVE, or not in the snapshot", () => {
    assert.strictEqual(seen([row("REPLAYING", 9)], [row("LIVE", 0)]).size, 0)
    assert.deepStrictEqual([...seen([row("REPLAYING", 9)], [row("REPLAYING", 9, "c2")]).keys()], ["c2"])
  })

  it("count those at other gateways alone into what these bring", () => {
    const here = [row("REPLAYING", 1_000), row("REPLAYING", 1_000, "c2"), row("OFFLINE", 10, "c3")]
    const later = [row("REPLAYING", 800), row("REPLAYING", 500, "c2"), row("OFFLINE", 5, "c3")]
    const rates = seen(here, later)
    assert.strictEqual(elsewhere_per_s(rates, later, "p1"), 0)
    assert.strictEqual(elsewhere_per_s(rates, later, "p2"), 700)
  })

  it("have a rate also while a slow client takes none for a moment", () => {
    const pulses = [9_000, 5_000, 0, 0, 0, 5_000].map((replayed_per_s, at) => ({
      at,
      accepted_per_s: 0,
      delivered_per_s: 0,
      replayed_per_s,
    }))
    assert.strictEqual(here_per_s(pulses.slice(0, 5)), 2_800)
    assert.strictEqual(here_per_s(pulses), 2_000)
    assert.strictEqual(here_per_s([]), 0)
  })

  it("call an empty mailbox done", () => {
    const replay = seen([row("REPLAYING", 0)]).get("c1")
    assert.isDefined(replay)
    assert.strictEqual(progress(replay), 1)
  })
})
