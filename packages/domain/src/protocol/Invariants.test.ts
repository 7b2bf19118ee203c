/** Each numbered invariant of a core's header is asserted: a core whose memory says otherwise dies of it, by its number. */
import { assert, describe, it } from "@effect/vitest"
import { InvariantBroken } from "../Errors.ts"
import { eventOrderLimits, routerLimits, sessionLimits, taskLimits } from "../Limits.ts"
import * as DirectSession from "./DirectSession.ts"
import { EventOrder, type OrderItem } from "./EventOrder.ts"
import { Slots } from "./Slots.ts"
import { SubjectShares } from "./SubjectShares.ts"
import * as Feed from "./Feed.ts"
import {
  ClientId,
  Cursor,
  Epoch,
  EventId,
  Incarnation,
  PodId,
  RouteId,
  RouterId,
  RunId,
  Seq,
  seqUnsafe,
  start,
} from "./Ids.ts"
import type { Page } from "./Reads.ts"
import { encodePlacedBarrier, encodeResult, type Item, type StoredRecord } from "./Records.ts"
import { RepeatWindow } from "./RepeatWindow.ts"
import * as Router from "./Router.ts"
import * as Session from "./Session.ts"
import * as TaskLedger from "./TaskLedger.ts"
import * as TaskQueue from "./TaskQueue.ts"

const clientId = ClientId.make("c")
const epoch = Epoch.make(7)
const pod = PodId.make("p")
const route = RouteId.make("r.1")

const result = (n: number): Item => {
  const seq = Seq.make(n)
  return { seq, value: encodeResult({ seq, id: EventId.make("e"), name: "n", data: null }) }
}
const barrier = (n: number): Item => {
  const seq = Seq.make(n)
  return { seq, value: encodePlacedBarrier(seq, { epoch, pod, number: 1, route }) }
}
const page = (records: ReadonlyArray<Item>, more: Partial<Page> = {}) =>
  ({ _tag: "Page", page: { records, short: true, acked: start, floor: start, hole: start, ...more } }) as const
const push = (prev: number, seq: number): Session.Input => {
  return { _tag: "Push", clientId, prev: Seq.make(prev), route, ...result(seq) }
}
const ack = (seq: number) => ({ _tag: "Ack", seq: Seq.make(seq) }) as const

/** LIVE with everything up to 1. */
const session = (limits = sessionLimits): Session.State => {
  const state = Session.make({ clientId, epoch, pod, after: start, limits })
  for (const input of [page([]), page([barrier(1)])]) Session.step(state, input)
  assert.strictEqual(state.status, "LIVE")
  return state
}

const direct = (): DirectSession.State => {
  const stored = { offset: 0, seq: start }
  const state = DirectSession.make({ clientId, epoch, pod, after: start, acked: start, stored, limits: sessionLimits })
  DirectSession.step(state, { _tag: "Open" })
  return state
}
const news = (...seqs: ReadonlyArray<number>): DirectSession.Input => {
  const records = seqs.map((seq) => ({ seq: Seq.make(seq), value: result(seq).value, offset: seq }))
  return { _tag: "Records", clientId, records, next: 100 }
}

const record = (offset: number, { value }: Item): StoredRecord => ({ key: clientId, value, offset, timestamp: 0 })
const chunk = (from: number, ...items: ReadonlyArray<Item>): Router.Input & Feed.Input => {
  const records = items.map((item, i) => record(from + i, item))
  return { _tag: "Chunk", chunk: { partition: 0, from, next: from + items.length, records } }
}
/** With a route from 1 on, and 2 and 3 in flight. */
const router = (): Router.State => {
  const state = Router.make(routerLimits, RouterId.make("r"))
  Router.step(state, chunk(0, barrier(1), result(2), result(3)))
  assert.strictEqual(state.inflight, 2)
  return state
}

/** At the end of a log of which it has read one chunk, with one who is LIVE. */
const feed = (recent_bytes = 1): Feed.State => {
  const state = Feed.make({ recent_bytes })
  Feed.step(state, { _tag: "Begin", at: 0 })
  Feed.step(state, { _tag: "Follow", clientId, position: 0 })
  Feed.step(state, chunk(0, result(1)))
  return state
}

const event = (offset: number): OrderItem => ({ offset, key: clientId, bytes: 1, isHandled: true })
/** Of one client, which may have one event waiting in memory. The first of these runs. */
const order = (...events: ReadonlyArray<OrderItem>): EventOrder<OrderItem> => {
  const made = new EventOrder<OrderItem>({ ...eventOrderLimits, client_records: 1 }, 0)
  made.read({ next: 10, records: events })
  for (const item of events) made.add(item)
  return made
}

/** At the beginning of an empty topic. A client may have one task with a slot. */
const queue = () => {
  const slots = new Slots(9, () => 9)
  const limits = { at_once: 9, client_at_once: 1, subject_share: 3, fenced_ticks: 1 }
  const shares = new SubjectShares(3)
  const state = new TaskQueue.State({ ...limits, slots, shares, worker: "w", next: 0, end: 0 })
  const step = (input: TaskQueue.Input) => TaskQueue.step(state, input)
  const task = (offset: number): TaskQueue.TaskRecord => {
    const id = EventId.make(`e${offset}`)
    return { _tag: "Task", offset, clientId, seq: seqUnsafe(offset), id, name: "ask" }
  }
  return { state, step, task }
}

/** What a field or a part below never says, in its place; it is set in vain. */
const saying = <A extends object, K extends keyof A>(part: A, name: K, get: () => A[K]): void =>
  void Object.defineProperty(part, name, { get, set: () => {} })

const broken: Readonly<Record<InvariantBroken["core"], ReadonlyArray<() => void>>> = {
  Session: [
    () => {
      const state = session()
      let looks = 0
      saying(state, "delivered", () => Cursor.make(looks++ < 2 ? 1 : 9))
      Session.step(state, push(1, 2))
    },
    () => {
      const state = session()
      let looks = 0
      saying(state, "stalled", () => looks++ > 0)
      Session.step(state, push(1, 2))
    },
    () => {
      const state = session()
      Session.step(state, push(1, 2))
      let looks = 0
      saying(state, "lossProof", () => (looks++ < 2 ? undefined : 2))
      Session.step(state, ack(2))
    },
    () => {
      const state = session()
      for (const input of [push(1, 2), push(2, 3)]) Session.step(state, input)
      saying(state.window, "results", () => 0)
      state.window.acknowledge = () => {}
      Session.step(state, ack(2))
    },
    // A store that does not keep the order of seqs.
    () => void Session.step(session(), page([result(9), barrier(5)])),
    () => {
      const state = session({ ...sessionLimits, window_results: 1 })
      for (const input of [push(1, 2), push(2, 3)]) Session.step(state, input)
      state.window.acknowledge(Seq.make(2))
      Session.step(state, { _tag: "PageFailed" })
    },
    () => {
      const state = session()
      let looks = 0
      saying(state, "barrier", () => (looks++ === 0 ? undefined : { age_ticks: 0, timeout_ticks: 1 }))
      Session.step(state, page([result(2)]))
    },
  ],
  DirectSession: [
    () => {
      const state = direct()
      let looks = 0
      saying(state, "delivered", () => Cursor.make(looks++ === 0 ? 0 : 9))
      DirectSession.step(state, news(1))
    },
    () => {
      const state = direct()
      let looks = 0
      saying(state, "stalled", () => looks++ > 0)
      DirectSession.step(state, news(1))
    },
    () => {
      const state = direct()
      DirectSession.step(state, news(1))
      let looks = 0
      saying(state, "lossProof", () => (looks++ < 2 ? undefined : 1))
      DirectSession.step(state, ack(1))
    },
    () => {
      const state = direct()
      DirectSession.step(state, news(1, 2))
      saying(state.window, "results", () => 0)
      state.window.acknowledge = () => {}
      DirectSession.step(state, ack(1))
    },
    () => {
      const state = direct()
      state.position = undefined
      state.readsSettled = true
      DirectSession.step(state, page([]))
    },
  ],
  Router: [
    () => {
      const state = router()
      const own = state.routes.get(clientId)!
      let looks = 0
      saying(own, "prev", () => Seq.make(looks++ === 0 ? 3 : 4))
      Router.step(state, chunk(3, result(4)))
    },
    () => {
      const state = router()
      state.routes.get(clientId)!.inflight.pop()
      Router.step(state, { _tag: "Ack", clientId, seq: start })
    },
    () => {
      const state = router()
      state.routes.get(clientId)!.inflight.reverse()
      Router.step(state, { _tag: "Nack", clientId })
    },
    () => {
      const state = router()
      state.routesMade = 0
      Router.step(state, chunk(3, barrier(4)))
    },
    () => {
      const state = router()
      state.outstanding.takeCommit = () => 3
      Router.step(state, { _tag: "Tick" })
    },
    () => {
      const state = router()
      const { outstanding } = state
      saying(state, "outstanding", () => outstanding)
      Router.step(state, chunk(9, result(9)))
    },
  ],
  Feed: [
    () => {
      const state = feed()
      saying(state, "live", () => Object.assign(new Map([[clientId, 1]]), { clear: () => {} }))
      Feed.step(state, chunk(5, result(5)))
    },
    () => void Feed.step(feed(), { _tag: "Follow", clientId, position: 1 }),
    () => {
      const state = feed()
      state.pass = { next: 0, last: undefined, members: new Map() }
      Feed.step(state, { _tag: "BeginPass", earliest: 0 })
    },
    () => {
      const state = feed(NaN)
      Feed.step(state, chunk(1, result(2)))
    },
  ],
  EventOrder: [
    () => {
      const running = event(12)
      const state = order()
      // A log that does not keep the order of offsets.
      for (const item of [running, event(11)]) state.add(item)
      state.ended(running, 1)
      state.next()
    },
    () => {
      const running = event(0)
      const state = order(running)
      state.ended(running, 1)
      state.takeBatch(1, 1)
      state.quarantined(0, 1)
      state.acknowledged()
    },
    () => {
      const state = order(event(0))
      state.quarantined(0, 1)
      state.add(event(0))
    },
    // It was not asked for: there is no room for it.
    () => void order(event(0), event(1), event(2)).refill(event(2)),
    () => {
      const slots = new Slots(Infinity, () => 1)
      const state = new EventOrder<OrderItem>(eventOrderLimits, 0, undefined, slots)
      let looks = 0
      // Somebody takes the slot between the look and the start.
      saying(slots, "has", () => () => looks++ < 1)
      state.add({ ...event(0), slot: "limited" })
    },
    () => {
      const item = event(0)
      let looks = 0
      saying(item, "notBefore_ms", () => (looks++ < 1 ? undefined : 5))
      order(item)
    },
  ],
  RepeatWindow: [
    () => {
      const window = new RepeatWindow({ dedupe_records: 10 }, Incarnation.make("a life"), "a secret")
      for (const offset of [5, 5]) window.take(offset, 0, "c", "a")
    },
  ],
  TaskLedger: [
    () => {
      const state = new TaskLedger.State(taskLimits)
      const of = { clientId, offset: seqUnsafe(5) }
      TaskLedger.step(state, {
        ...of,
        _tag: "Event",
        id: EventId.make("e"),
        name: "ask",
        resumes: false,
        timestamp_ms: 0,
      })
      // A record cannot come before the event of its task.
      TaskLedger.step(state, { ...of, _tag: "Stop", task: seqUnsafe(5), by: "full" })
    },
  ],
  TaskQueue: [
    () => {
      const { state, step, task } = queue()
      step({ _tag: "Chunk", records: [task(0)], next: 1 })
      const of = { clientId, seq: seqUnsafe(0), run: [...state.tasks.values()][0]?.run ?? RunId.make("none") }
      Object.assign(state.tasks.get(of.seq) ?? {}, { hasSlot: false })
      step({ _tag: "Chunk", records: [{ ...of, _tag: "Began", offset: 1, attempt: 1, next: 0 }], next: 2 })
    },
    () => {
      const { state, step, task } = queue()
      let looks = 0
      step({ _tag: "Chunk", records: [task(0)], next: 1 })
      saying(state.options, "client_at_once", () => (looks++ < 1 ? 9 : 1))
      step({ _tag: "Chunk", records: [task(1)], next: 2 })
    },
  ],
}

describe("Invariants", () => {
  for (const [core, ways] of Object.entries(broken)) {
    ways.forEach((breaks, i) => {
      it(`${i + 1} of ${core} is asserted`, () => {
        try {
          breaks()
        } catch (defect) {
          if (!(defect instanceof InvariantBroken)) throw defect
          assert.deepStrictEqual([defect.core, defect.invariant], [core, i + 1])
          return
        }
        assert.fail("it did not die of it")
      })
    })
  }
})
