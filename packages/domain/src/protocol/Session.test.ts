import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, Epoch, EventId, PodId, RouteId, Seq, start } from "./Ids.ts"
import type { SessionLimits } from "../Limits.ts"
import type { Page } from "../services/Mailbox.ts"
import { encodePlacedBarrier, encodeResult, type Item } from "./Records.ts"
import * as Session from "./Session.ts"

const clientId = ClientId.make("c")
const epoch = Epoch.make(7)
const pod = PodId.make("p")

const limits: SessionLimits = {
  window_results: 4,
  window_bytes: 10_000,
  held_results: 2,
  held_bytes: 10_000,
  page_results: 3,
  page_bytes: 10_000,
  read_every_ticks: 3,
  barrier_timeout_ticks: 2,
  barrier_timeout_max_ticks: 5,
}

const result = (seq: number): Item => ({
  seq: Seq.make(seq),
  value: encodeResult({ seq: Seq.make(seq), id: EventId.make("e"), name: "n", data: null }),
})
/** All results are of this size while their seqs have one digit. */
const result_bytes = result(1).value.length

const route = (n: number): RouteId => RouteId.make(`r.${n}`)

type BarrierOf = Parameters<typeof encodePlacedBarrier>[1]

/** The own `number`th barrier with the route `number`, or what is said of it. */
const barrier = (seq: number, of: Partial<BarrierOf> = {}, number = 1): Item =>
  placed(seq, { epoch, pod, number, route: route(number), ...of })
const placed = (seq: number, of: BarrierOf): Item => ({
  seq: Seq.make(seq),
  value: encodePlacedBarrier(Seq.make(seq), of),
})
const older = { epoch: Epoch.make(6) }
const elsewhere = { pod: PodId.make("q") }

type Input = Session.Input

const push = (prev: number, seq: number, of = 1): Input => ({
  _tag: "Push",
  clientId,
  prev: Seq.make(prev),
  route: route(of),
  ...result(seq),
})
const page = (records: ReadonlyArray<Item>, more: Partial<Page> = {}): Input => ({
  _tag: "Page",
  page: { records, short: true, acked: start, floor: start, hole: start, ...more },
})
const ack = (seq: number): Input => ({ _tag: "Ack", seq: Seq.make(seq) })
const mail: Input = { _tag: "Mail" }
const stall: Input = { _tag: "Stalled" }
const drain: Input = { _tag: "Drained" }
const tick: Input = { _tag: "Tick" }
const pageFails: Input = { _tag: "PageFailed" }

const say = (output: Session.Output): string => {
  switch (output._tag) {
    case "Welcome":
      return `welcome after ${output.after}`
    case "Deliver":
      return `deliver ${output.items.map(({ seq }) => seq).join(" ")}`
    case "Status":
      return output.status
    case "Lost":
      return `lost (${output.after}, ${output.upTo ?? "?"}]`
    case "Read":
      return `read ${output.limit.results} after ${output.after}`
    case "PublishBarrier":
      return `barrier ${output.number}${output.again ? " again" : ""}`
    case "Ack":
      return `ack ${output.seq}`
    case "Trim":
      return `trim ${output.seq}`
    case "Nack":
      return `nack ${output.route}`
    case "Sweep":
      return "sweep"
  }
}

/** What all these inputs lead to. */
const outputsOf = (session: Session.State, inputs: ReadonlyArray<Input>) => {
  const outputs: Array<Session.Output> = []
  for (const input of inputs) Session.step(session, input, outputs)
  return outputs
}

const fresh = (options: Partial<SessionLimits> = {}, after: Cursor = start) =>
  Session.make({ clientId, epoch, pod, after, limits: { ...limits, ...options } })

const sessionAfter = (inputs: ReadonlyArray<Input>, options?: Partial<SessionLimits>, after?: Cursor) => {
  const session = fresh(options, after)
  outputsOf(session, [{ _tag: "Open" }, ...inputs])
  return session
}

/** A session that has had these inputs, and whose outputs so far were carried out. */
const given = (inputs: ReadonlyArray<Input>, options?: Partial<SessionLimits>, after?: Cursor) => ({
  when: (...whens: ReadonlyArray<Input>) => {
    const session = sessionAfter(inputs, options, after)
    const outputs = outputsOf(session, whens).map(say)
    return {
      session,
      gives: (...expected: ReadonlyArray<string>) => assert.deepStrictEqual(outputs, expected),
    }
  },
})

/** The mailbox was empty: the barrier is under way. */
const waiting = [page([])]
/** The own barrier came back with seq 1, so delivered = 1. */
const live = [...waiting, mail, page([barrier(1)])]

describe("Session", () => {
  describe("opens", () => {
    it("with a look into the mailbox after what the client says it has", () => {
      const outputs = outputsOf(fresh({}, Cursor.make(5)), [{ _tag: "Open" }]).map(say)
      assert.deepStrictEqual(outputs, ["read 3 after 5"])
    })
    it("at -1 without `after` or acks, so that seq 0 is delivered", () => {
      given([])
        .when(page([result(0)]))
        .gives("welcome after -1", "deliver 0", "barrier 1")
    })
    it("at the mailbox's acked, where that is further than `after`", () => {
      given([], {}, Cursor.make(3))
        .when(page([result(6)], { acked: Cursor.make(5) }))
        .gives("welcome after 5", "deliver 6", "barrier 1")
    })
    it("at `after` where that is further, which is the client's ack of all up to it", () => {
      given([], {}, Cursor.make(5))
        .when(page([result(6)], { acked: Cursor.make(3) }))
        .gives("welcome after 5", "trim 5", "deliver 6", "barrier 1")
    })
    it("holding pushes that come before it knows where it starts", () => {
      given([]).when(push(0, 2)).gives()
      given([push(1, 2), push(2, 3)])
        .when(page([barrier(1)], { acked: Cursor.make(0) }))
        .gives("welcome after 0", "ack 1", "trim 1", "deliver 2 3", "LIVE")
    })
    it("refusing acks before that", () => {
      assert.isFalse(Session.isSent(sessionAfter([]), Cursor.make(-1)))
    })
  })

  describe("waits for its client", () => {
    const waits = (inputs: ReadonlyArray<Input>, window_results: number) =>
      Session.waitsForClient(sessionAfter(inputs, { window_results }))

    it("while its window is full, or its socket is behind", () => {
      assert.isTrue(waits([...live, push(1, 2), push(2, 3)], 2))
      assert.isFalse(waits([...live, push(1, 2)], 2))
      assert.isTrue(waits([...live, stall], 2))
      assert.isFalse(waits([...live, stall, drain], 2))
    })
    it("while REPLAYING, once there is too little room to read on", () => {
      assert.isFalse(waits([page([1, 2, 3].map(result))], 8))
      assert.isTrue(waits([page([1, 2, 3, 4, 5, 6, 7].map(result))], 8))
      assert.isFalse(waits([page([1, 2, 3, 4, 5, 6, 7].map(result)), ack(1)], 8))
    })
    it("not while a page is under way, nor LIVE with little room, but for mail", () => {
      const seven = [...live, ...[1, 2, 3, 4, 5, 6, 7].map((seq) => push(seq, seq + 1))]
      assert.isFalse(waits([], 1))
      assert.isFalse(waits(seven, 8))
      assert.isTrue(waits([...seven, mail], 8))
    })
  })

  describe("from the mailbox", () => {
    it("delivers page by page, and the next page while the last awaits its acks", () => {
      given([], { window_results: 8 })
        .when(page([result(1), result(2), result(3)], { short: false }))
        .gives("welcome after -1", "deliver 1 2 3", "read 3 after 3")
    })
    it("asks for no more than the window has room for", () => {
      given([])
        .when(page([result(1), result(2), result(3)], { short: false }))
        .gives("welcome after -1", "deliver 1 2 3", "read 1 after 3")
    })
    it("skips what a push delivered while the page was under way", () => {
      given([...live, mail, push(1, 2)])
        .when(page([result(2), result(3)]))
        .gives("deliver 3", "barrier 2", "REPLAYING")
    })
    it("publishes a barrier when a page comes back short, once", () => {
      given(waiting)
        .when(mail, page([result(1)]))
        .gives("read 3 after -1", "deliver 1")
    })
    it("publishes none while there is more", () => {
      given([])
        .when(page([result(1)], { short: false }))
        .gives("welcome after -1", "deliver 1", "read 3 after 1")
    })
    it("reads again after a failed page, with the next tick", () => {
      given([]).when(pageFails, tick).gives("read 3 after -1")
    })
    it("looks again where a Mail came while a page was under way", () => {
      given([]).when(mail, page([])).gives("welcome after -1", "barrier 1", "read 3 after -1")
    })
    it("looks now and then while REPLAYING, without any Mail", () => {
      given(waiting, { barrier_timeout_ticks: 100 }).when(tick, tick).gives()
      given(waiting, { barrier_timeout_ticks: 100 }).when(tick, tick, tick).gives("read 3 after -1")
    })
    it("does not look by the clock while LIVE", () => {
      given(live).when(tick, tick, tick, tick, tick).gives()
    })
  })

  describe("from pushes", () => {
    const replaying = [...live, mail, page([result(2)])]

    it("delivers one of its route that extends what was delivered, LIVE or not any more", () => {
      given(live).when(push(1, 3)).gives("deliver 3")
      given(replaying).when(push(2, 3)).gives("deliver 3")
    })
    it("delivers one whose prev lies below delivered", () => {
      given(replaying).when(push(1, 5)).gives("deliver 5")
    })
    it("holds those of a route that it was never LIVE by, whatever they say", () => {
      given([page([result(1)])])
        .when(push(1, 3))
        .gives()
      given(live)
        .when(push(1, 3, 2))
        .gives("REPLAYING", "read 3 after 1")
      given([...live, push(1, 3, 2)])
        .when(push(1, 2))
        .gives("deliver 2")
    })
    it("delivers what it holds of a route once it is LIVE by that, and so on with each", () => {
      given([...live, push(2, 3, 2), page([])])
        .when(mail, page([barrier(2, {}, 2)]))
        .gives("read 3 after 1", "ack 2", "trim 2", "deliver 3", "LIVE")
    })
    it("holds one seq of two routes, for only one of them may be its own", () => {
      given([...live, push(2, 3, 2), push(1, 3, 3), page([])])
        .when(mail, page([barrier(2, {}, 2)]))
        .gives("read 3 after 1", "ack 2", "trim 2", "deliver 3", "LIVE")
    })
    it("ignores a repeat and repeats the last ack, never a higher one", () => {
      given([...live, push(1, 2), push(2, 3), ack(2)])
        .when(push(2, 3))
        .gives("ack 2")
      given([...live, push(1, 2)])
        .when(push(1, 2))
        .gives("ack 1")
    })
    it("has nothing to repeat before the first ack", () => {
      given([page([result(0)])])
        .when(push(0, 0))
        .gives()
    })
    it("holds one with a gap before it, and goes back to the mailbox", () => {
      given(live).when(push(2, 3)).gives("REPLAYING", "read 3 after 1")
    })
    it("delivers what it holds once the gap is filled, by push or by mailbox", () => {
      given([...live, push(2, 3), page([])])
        .when(push(1, 2))
        .gives("deliver 2 3")
      given([...live, push(2, 3)])
        .when(page([result(2)]))
        .gives("deliver 2 3", "barrier 2")
    })
    it("holds pushes by seq, in whatever order they come, each once", () => {
      given([...live, push(3, 4), push(2, 3), push(3, 4)])
        .when(push(1, 2))
        .gives("deliver 2 3 4")
    })
    it("does not take what follows a held push for another gap", () => {
      const { session } = given([...live, stall]).when(push(1, 2), push(2, 3))
      assert.strictEqual(session.status, "LIVE")
    })
    it("drops one too many and nacks its route, and goes back to the mailbox", () => {
      given([...live, stall, push(1, 2), push(2, 3)])
        .when(push(3, 4))
        .gives("nack r.1", "REPLAYING")
      given([...live, stall])
        .when(push(1, 2), push(2, 3), push(3, 4, 5))
        .gives("nack r.5", "REPLAYING")
    })
    it("drops and nacks what is too many bytes", () => {
      given([...live, stall], { held_bytes: result_bytes * 2 - 1 })
        .when(push(1, 2), push(2, 3))
        .gives("nack r.1", "REPLAYING")
    })
    it("never holds more than its bounds", () => {
      const { session } = given(live).when(push(2, 3), push(3, 4), push(4, 5), push(5, 6))
      assert.strictEqual(session.held.results, limits.held_results)
    })
  })

  describe("LIVE", () => {
    it("begins when the own barrier is read from the mailbox, which is acknowledged and trimmed with the rest", () => {
      given([...waiting, mail])
        .when(page([barrier(1)]))
        .gives("ack 1", "trim 1", "LIVE")
    })
    it("does not begin with the barrier of another epoch or pod: that is passed over, and the session swept", () => {
      for (const other of [older, elsewhere]) {
        given([...waiting, mail])
          .when(page([barrier(1, other)]))
          .gives("ack 1", "trim 1", "sweep")
      }
    })
    it("extends the chain from the barrier", () => {
      given(live).when(push(1, 2)).gives("deliver 2")
    })
    it("looks at the prev of what was held before it began", () => {
      given([...waiting, push(3, 4), mail])
        .when(page([barrier(2)]))
        .gives("ack 2", "trim 2", "read 3 after 2", "barrier 2")
    })
    it("begins with the last record of a page alone: not with a barrier that has something behind it", () => {
      given([...waiting, mail])
        .when(page([barrier(1), result(2)]))
        .gives("ack 1", "trim 1", "deliver 2", "barrier 2")
      given([...waiting, mail])
        .when(page([barrier(1), barrier(2, older)]))
        .gives("ack 1", "trim 1", "ack 2", "trim 2", "sweep", "barrier 2")
    })
    it("does not begin with the end of a page that is not the mailbox's, nor with two pages", () => {
      given([...waiting, mail, page([barrier(1)], { short: false })])
        .when(page([]))
        .gives("barrier 2")
    })
    it("does not begin where the window did not let everything before the barrier through", () => {
      given([page([result(1), result(2), result(3)], { short: false }), stall])
        .when(page([result(4), barrier(5)]))
        .gives()
    })
    it("does not begin with a barrier at or below what was delivered", () => {
      given([...live, push(1, 3), mail, page([result(4)])])
        .when(mail, page([barrier(2)]))
        .gives("read 2 after 4")
    })
    it("does not begin with a barrier from before routes: it is passed over", () => {
      given([...waiting, mail])
        .when(page([placed(1, { epoch, pod })]))
        .gives("ack 1", "trim 1")
      given([...waiting, mail])
        .when(page([placed(1, { epoch, pod, number: 1 })]))
        .gives("ack 1", "trim 1", "barrier 2")
    })
    it("goes on by the route of a newer own barrier, and no more by the one before", () => {
      given([...live, mail, page([barrier(2, {}, 2)])])
        .when(push(2, 3, 2), push(3, 4, 1))
        .gives("deliver 3", "REPLAYING", "read 3 after 3")
    })
    it("ends at once where pushes of another route are held from before", () => {
      given([...waiting, push(5, 6, 9), mail])
        .when(page([barrier(2)]))
        .gives("ack 2", "trim 2", "read 3 after 2", "barrier 2")
    })
    it("ends with a record in the mailbox; another barrier leads back", () => {
      given(live)
        .when(mail, page([result(2)]))
        .gives("read 3 after 1", "deliver 2", "barrier 2", "REPLAYING")
    })
    it("goes on where Mail finds nothing above delivered", () => {
      given(live).when(mail, page([])).gives("read 3 after 1")
    })
    it("goes on over an own barrier that was published again, without a word to the client", () => {
      given([...live, mail])
        .when(page([barrier(3)]))
        .gives("ack 3", "trim 3")
    })
    it("ends with the barrier of another", () => {
      given([...live, mail])
        .when(page([barrier(3, older)]))
        .gives("ack 3", "trim 3", "sweep", "barrier 2", "REPLAYING")
    })
    it("trims nothing by itself: that is left to the sweep", () => {
      given([...live, push(1, 2)])
        .when(ack(2))
        .gives("ack 2")
    })
    it("ends when a gap comes into view that was held behind a full window", () => {
      const behind = given([...waiting, push(1, 2), push(3, 4), page([]), mail, stall, page([barrier(1)])])
      assert.strictEqual(behind.when().session.status, "LIVE")
      behind.when(drain).gives("deliver 2", "REPLAYING", "read 3 after 2")
    })
    it.each<{
      readonly why: Session.Demotion
      readonly inputs: ReadonlyArray<Input>
      readonly options: Partial<SessionLimits>
    }>([
      { why: "gap", inputs: [push(2, 3)], options: {} },
      { why: "route", inputs: [push(1, 2, 2)], options: {} },
      { why: "dropped", inputs: [push(2, 3)], options: { held_results: 0 } },
      { why: "slow", inputs: [stall, push(1, 2), push(2, 3), push(3, 4)], options: {} },
      { why: "mail", inputs: [mail, page([result(2)])], options: {} },
    ])("says why it ended: $why", ({ inputs, options, why }) => {
      const { session } = given(live, options).when(...inputs)
      assert.strictEqual(session.status, "REPLAYING")
      assert.strictEqual(session.demotion, why)
    })
    it("counts what it had from the mailbox, without barriers", () => {
      const { session } = given(live).when(push(1, 2), mail, page([result(2), result(3), barrier(4)]))
      assert.strictEqual(session.replayed, 1)
    })
  })

  describe("the barrier", () => {
    it("is published again when it is not back in time, backing off up to the maximum", () => {
      const session = sessionAfter(waiting, { read_every_ticks: 1_000 })
      const again: Array<number> = []
      for (let now = 1; now <= 20; now++) {
        if (Session.step(session, tick).some(({ _tag }) => _tag === "PublishBarrier")) again.push(now)
      }
      assert.deepStrictEqual(again, [2, 6, 11, 16])
    })
    it("is not published again once it is back", () => {
      given(live)
        .when(...Array.from({ length: 20 }, () => tick))
        .gives()
    })
    it("backs off from the beginning after the next fall back", () => {
      given([...waiting, tick, tick, page([]), mail, page([barrier(1, {}, 2)]), push(2, 3, 2), page([])])
        .when(tick, tick)
        .gives("barrier 4 again")
    })
    it("is under way until the newest of its session is back: an older one makes LIVE, and ends no waiting", () => {
      const late = [...waiting, tick, tick, mail, page([barrier(1)])]
      assert.strictEqual(sessionAfter(late).status, "LIVE")
      const replaying = [...late, mail, page([result(2)])]
      assert.strictEqual(sessionAfter(replaying).status, "REPLAYING")
      given(replaying).when(mail, page([])).gives("read 3 after 2")
      given([...replaying, mail])
        .when(page([barrier(3, {}, 2), result(4)]))
        .gives("deliver 4", "barrier 3")
    })
  })

  describe("the window", () => {
    const full = [...live, push(1, 2), push(2, 3), push(3, 4), push(4, 5)]

    it("holds pushes while it is full, and stays LIVE", () => {
      given(full).when(push(5, 6), push(6, 7)).gives()
      assert.strictEqual(sessionAfter([...full, push(5, 6), push(6, 7)]).status, "LIVE")
    })
    it("delivers what is held as acks make room", () => {
      given([...full, push(5, 6), push(6, 7)])
        .when(ack(2))
        .gives("ack 2", "deliver 6")
      given([...full, push(5, 6), push(6, 7)])
        .when(ack(3))
        .gives("ack 3", "deliver 6 7")
    })
    it("does not read the mailbox while less than a quarter of it is free", () => {
      given(full).when(mail).gives()
      given([...full, mail])
        .when(ack(2))
        .gives("ack 2", "read 1 after 5")
    })
    it("reads again from where a page did not fit", () => {
      given([...live, mail, push(1, 2), push(2, 3), push(3, 4), page([result(5), result(6)])])
        .when(ack(3))
        .gives("ack 3", "trim 3", "read 2 after 5")
    })
    it("counts bytes too, but lets one result through, however large", () => {
      given(live, { window_bytes: 1 }).when(push(1, 2), push(2, 3)).gives("deliver 2")
      given(live, { window_bytes: result_bytes * 2 })
        .when(push(1, 2), push(2, 3), push(3, 4))
        .gives("deliver 2 3")
    })
    it("does not read the mailbox again and again while it is full in bytes", () => {
      given([], { window_bytes: 1 })
        .when(page([result(1)], { short: false }), ack(1), page([result(2)], { short: false }))
        .gives("welcome after -1", "deliver 1", "ack 1", "trim 1", "read 3 after 1", "deliver 2")
    })
    it("lets barriers through, which the client does not see", () => {
      const { session } = given([...live, mail, push(1, 2), push(2, 3), push(3, 4), push(4, 5)]).when(
        page([barrier(6, {}, 2)]),
      )
      assert.strictEqual(session.window.results, limits.window_results)
      assert.strictEqual(session.delivered, 6)
      assert.strictEqual(session.status, "LIVE")
    })
    it("is never exceeded", () => {
      assert.strictEqual(
        sessionAfter([...full, push(5, 6), push(6, 7), push(7, 8)]).window.results,
        limits.window_results,
      )
    })
  })

  describe("acks", () => {
    it("are passed on and trim the mailbox while REPLAYING", () => {
      given([page([result(1), result(2)])])
        .when(ack(1))
        .gives("ack 1", "trim 1")
    })
    it("reach to delivered once all that was sent is acknowledged, so that barriers go too", () => {
      given([page([result(1), barrier(2, older)])])
        .when(ack(1))
        .gives("ack 2", "trim 2")
    })
    it("of less than all leave what comes after", () => {
      given([page([result(1), barrier(2, older), result(3)])])
        .when(ack(1))
        .gives("ack 1", "trim 1")
    })
    it("beyond what was sent are refused and change nothing", () => {
      const { session, gives } = given([page([result(1)])]).when(ack(2))
      gives()
      assert.isFalse(Session.isSent(session, Seq.make(2)))
      assert.strictEqual(session.acked, start)
    })
    it("that repeat or fall back are nothing", () => {
      const { session, gives } = given([page([result(1), result(2)]), ack(2)]).when(ack(2), ack(1))
      gives()
      assert.isTrue(Session.isSent(session, Seq.make(1)))
      assert.strictEqual(session.acked, 2)
    })
  })

  describe("a stalled transport", () => {
    it("is like a full window: pushes are held, nothing is read", () => {
      given([...live, stall])
        .when(push(1, 2), mail)
        .gives()
    })
    it("goes on when it drains", () => {
      given([...live, stall, push(1, 2), mail])
        .when(drain)
        .gives("deliver 2", "read 3 after 2")
    })
    it("that stalls within a page keeps the rest for later", () => {
      given([stall])
        .when(page([result(1)]))
        .gives("welcome after -1")
      given([stall, page([result(1)])])
        .when(drain)
        .gives("read 3 after -1")
    })
  })

  describe("losses", () => {
    const floor = Cursor.make(5)

    it("below the floor are told, and delivery goes on behind them", () => {
      given([])
        .when(page([result(6)], { floor }))
        .gives("welcome after -1", "lost (-1, 5]", "deliver 6", "barrier 1")
    })
    it("are none where the client has everything below the floor", () => {
      given([], {}, floor)
        .when(page([result(6)], { floor }))
        .gives("welcome after 5", "trim 5", "deliver 6", "barrier 1")
    })
    it("of an unknown range are told once, where something below the hole may be missing", () => {
      given([page([], { hole: Cursor.make(3) }), mail])
        .when(page([], { hole: Cursor.make(3) }))
        .gives()
      given([])
        .when(page([result(6)], { hole: floor }))
        .gives("welcome after -1", "lost (-1, ?]", "deliver 6", "barrier 1")
      given([], {}, Cursor.make(4))
        .when(page([result(6)], { hole: floor }))
        .gives("welcome after 4", "trim 4", "deliver 6", "barrier 1")
    })
    it("of an unknown range are told again for another hole", () => {
      given([page([], { hole: Cursor.make(3) }), mail])
        .when(page([], { hole: Cursor.make(4) }))
        .gives("lost (-1, ?]")
    })
    it("count as sent: no ack goes over them before the client acknowledges something behind them", () => {
      given([page([], { floor }), mail])
        .when(page([barrier(6)]))
        .gives("LIVE")
      given([page([], { hole: floor }), mail])
        .when(page([barrier(6)]))
        .gives("LIVE")
      given([page([result(1)]), mail, page([], { floor })])
        .when(ack(1))
        .gives("ack 1", "trim 1")
    })
    it("are acknowledged with what comes behind them, or by themselves", () => {
      given([page([result(6)], { floor })])
        .when(ack(6))
        .gives("ack 6", "trim 6")
      given([page([result(6)], { hole: floor })])
        .when(ack(6))
        .gives("ack 6", "trim 6")
      given([page([], { floor })])
        .when(ack(5))
        .gives("ack 5", "trim 5")
    })
  })
})
