/**
 * Whether what is kept in memory stays under its bounds: that of routers and sessions is looked at after every step of
 * theirs, that of all other parts (`MemoryGauges.ts`) after every turn of their process. A part, or a thing that it keeps, of
 * which no bound is stated here breaks the rule as well.
 *
 * Of a router: routes; what is in flight, to each client and in all; and what waits for the backlog. Nothing is read
 * while more than `shelf_records` wait, so that what waits and what is in flight, which may have to wait as well, is at
 * most that much, what may be in flight, and one chunk; nor while more than `outstanding_records` were read since the
 * first that is not done.
 *
 * Of an event consumer: what is read and not finished, in records, in bytes and in offsets; and the repeats among what
 * only the offset is kept of.
 *
 * Of a session of direct delivery: its window. Of a feed: a place for each client, and the recent chunks, of which one is
 * kept however large.
 *
 * Of a gateway: sessions, and one ack, nack, trim or registry write for each client; the intake of a partition, beyond
 * whose bound each sender puts one event before it is paused, and each session one barrier.
 *
 * Of a client: what its windows let in. While a save takes its time nothing is written, so that changes are those that
 * two windows of events and one of results make.
 */
import { handlerLimits } from "@nimbus/domain/limits"
import type { Sized } from "@nimbus/domain/observability"
import { type DirectSession, Feed, Router, Session } from "@nimbus/domain/protocol"
import type { CoreProbe } from "../CoreProbe.ts"
import type { SimulatedLimits } from "./Production.ts"

type Size = Sized["size"]

/** More than any event or barrier of a run has. */
const record_bytes = 80
/** More than a part of a task has. */
const part_bytes = 200
/** What a task has on its way besides: its end, and the begin and the end of the run before. */
const most_beside = 3

export class Bounds implements CoreProbe {
  private readonly limits: SimulatedLimits
  private readonly clients: number
  private readonly report: (message: string) => void
  private readonly ofParts: Readonly<Record<string, (size: Size) => Size>>

  constructor(limits: SimulatedLimits, clients: number, events: number, report: (message: string) => void) {
    this.limits = limits
    this.clients = clients
    this.report = report
    this.ofParts = { ...ofGateway(limits, clients), ...ofPipeline(limits, clients, events), ...ofClient(limits) }
  }

  router(router: Router.State): void {
    const { chunk_records, outstanding_records, router: most, shelf_records } = this.limits
    const { inflight, outstanding, routes, spill } = Router.sizeOf(router)
    this.check("routes", routes, most.routes)
    this.check("in flight", inflight, most.inflight_results)
    this.check("for the backlog", spill + inflight, shelf_records + most.inflight_results + chunk_records)
    this.check("outstanding", outstanding, outstanding_records + chunk_records)
    for (const route of router.routes.values()) {
      this.check("in flight to one", route.inflight.length - route.first, most.inflight_results_per_client)
    }
  }

  session(session: Session.State): void {
    const { held, window } = Session.sizeOf(session)
    this.check(`held for ${session.clientId}`, held, this.limits.session.held_results)
    this.check(`window of ${session.clientId}`, window, this.limits.session.window_results)
  }

  directSession(session: DirectSession.State): void {
    this.check(`window of ${session.clientId}`, session.window.results, this.limits.session.window_results)
  }

  feed(feed: Feed.State): void {
    const { behind, live, passing } = Feed.sizeOf(feed)
    this.check("followers", behind + live + passing, this.clients)
    if (feed.recent.length > 1) this.check("recent", feed.recent_bytes, this.limits.direct_recent_bytes)
  }

  part(part: string, { size }: Sized): void {
    const most = this.ofParts[part]?.(size)
    for (const what in size) this.check(`${part}: ${what}`, size[what]!, most?.[what])
  }

  private check(what: string, size: number, bound: number | undefined): void {
    if (bound === undefined || size > bound) this.report(`${what}: ${size} of ${bound}`)
  }
}

const ofGateway = ({ intake_bytes, late_steps, session }: SimulatedLimits, clients: number) => ({
  delivery: () => ({ sessions: clients, replaying: clients, held: clients }),
  intake: ({ barriers = 0, senders = 0 }: Size) => ({
    bytes: intake_bytes + (senders + barriers) * record_bytes,
    senders: clients,
    barriers: clients,
    paused: clients,
  }),
  outbox: () => ({ acks: clients, nacks: clients, trims: clients }),
  presences: () => ({ clients }),
  "late steps": () => ({ steps: late_steps }),
  "late journey": () => ({ unacknowledged: clients * session.window_results }),
})

const ofPipeline = (
  { chunk_records, order, repeats, taskQueue, tasks, taskWorker }: SimulatedLimits,
  clients: number,
  events: number,
) => ({
  // Those beyond the limits are ended, which takes its time: of a run no more are open than it has events.
  tasks: () => ({
    open: events,
    known: events,
    stops: events,
    spilled: tasks.spilled_verdicts + chunk_records,
  }),
  "task session": () => ({
    tasks: events,
    running: taskQueue.at_once,
    bytes: taskQueue.at_once * (taskWorker.task_buffer_parts + most_beside) * part_bytes,
  }),
  repeats: () => ({ spilled: repeats.spilled_repeats + chunk_records }),
  // Beyond the bound there is what was read last, and for each client one record, to go on with.
  "event order": () => {
    const records = order.partition_records + chunk_records + clients
    const span = order.span_records + chunk_records
    const bytes = order.partition_bytes + (chunk_records + clients) * record_bytes
    return {
      records,
      bytes,
      span,
      spilled: span,
      running: handlerLimits.handlers_at_once,
      ready: records,
      slotless: clients,
      crowded: clients,
      early: clients,
    }
  },
})

const ofClient = ({ client, session }: SimulatedLimits) => {
  const events = client.window_events
  const deliveries = session.window_results + client.waiting_notices
  const bounds = {
    unaccepted: events,
    written: events,
    settling: events,
    answers: 0,
    doubtful: client.doubtful_ids,
    // No application of a run streams its tasks: their parts are deliveries like all others.
    tasks: 0,
    readers: 0,
    cancels: client.cancels,
    deliveries,
    batches: deliveries,
    changes: 7 * events + 3 * deliveries + 2 * client.cancels + 3,
    frames: events + deliveries + client.cancels + 1,
  }
  return { client: () => bounds }
}
