/**
 * One pass over the registry: how many clients there are by status and by pod, and the rows of a list.
 *
 * ```
 *   entries ──▶ counts by status, by pod
 *          └──▶ matches ──▶ the newest of each status ──▶ who of those away has mail ──▶ rows ──▶ what waits for each
 * ```
 *
 * A pass costs the same for any caller and any number of rows: what is kept of it is bounded, and mailboxes are
 * asked about what is kept alone.
 */
import { start, Status, type PodId } from "@nimbus/domain/protocol"
import { type Entry, Mailbox, Registry } from "@nimbus/domain/services"
import {
  AdminUnavailable,
  type ClientRow,
  type OperationInput,
  type PodView,
  type StatusView,
} from "@nimbus/domain/admin"
import { Effect, Stream } from "effect"
import type { AdminLimits } from "../Limits.ts"
import { Newest } from "./Newest.ts"

/** Which clients: with this status, and with this text in their ids. */
export type ClientsAsked = Omit<OperationInput<"clients">["query"], "limit">

export interface Census {
  readonly clients: StatusView["clients"]
  /** There are more clients than were looked at. */
  readonly clientsMore: boolean
  readonly pods: ReadonlyArray<PodView>
  /**
   * Of those that were asked for: who replays, then who is offline with messages waiting, then the others; the newest
   * first.
   */
  readonly rows: ReadonlyArray<ClientRow>
  readonly rowsMore: boolean
}

/** Counts, and finds up to `rows` clients. */
export const makeCensus = Effect.fnUntraced(function* (limits: AdminLimits) {
  const registry = yield* Registry
  const mailbox = yield* Mailbox

  /** Those with mail first; the order is otherwise kept. */
  const mailFirst = Effect.fnUntraced(function* (found: ReadonlyArray<Found>) {
    const asked = found.map(({ clientId }) => ({ clientId, after: start }))
    const waiting = found.length === 0 ? [] : yield* mailbox.waiting(asked)
    return [found.filter((_, i) => waiting[i]), found.filter((_, i) => !waiting[i])] as const
  })

  const toRow = ({ clientId, seen, status: { epoch, pod } }: Found) =>
    Effect.map(mailbox.stats(clientId), ({ results }): ClientRow => ({
      clientId,
      status: seen,
      epoch,
      pod,
      waiting: results,
    }))

  return Effect.fn("Census.take")(
    function* (asked: ClientsAsked, rows: number) {
      const pass = new Pass(yield* registry.livePods, asked, rows, limits)
      yield* Stream.runForEachArray(Stream.take(registry.entries, limits.scan_clients + 1), (entries) =>
        Effect.sync(() => pass.add(entries)),
      )
      const { LIVE, OFFLINE, REPLAYING } = pass.found
      const isFull = REPLAYING.length >= rows
      const [withMail, without] = isFull ? [[], OFFLINE] : yield* mailFirst(OFFLINE)
      const first = [...REPLAYING, ...withMail, ...LIVE, ...without].slice(0, rows)
      return {
        ...pass.counted,
        rows: yield* Effect.forEach(first, toRow, { concurrency: limits.at_once }),
        rowsMore: pass.matches > first.length,
      } satisfies Census
    },
    Effect.mapError(({ code }) => new AdminUnavailable({ message: `the clients can't be listed: ${code}` })),
  )
})

interface Found extends Entry {
  /** Its status as everyone should see it. */
  readonly seen: Status.StatusName
}

/** What a pass has seen so far. */
class Pass {
  matches = 0
  private scanned = 0
  private readonly livePods: ReadonlySet<PodId>
  private readonly asked: ClientsAsked
  private readonly limit: number
  private readonly deadPods: number
  private readonly clients = { OFFLINE: 0, REPLAYING: 0, LIVE: 0 }
  private readonly byPod: Map<PodId, number>
  private readonly newest: Record<Status.StatusName, Newest<Found>>

  constructor(livePods: ReadonlyArray<PodId>, asked: ClientsAsked, rows: number, limits: AdminLimits) {
    this.livePods = new Set(livePods)
    this.byPod = new Map(livePods.map((pod) => [pod, 0]))
    this.asked = asked
    this.limit = limits.scan_clients
    this.deadPods = limits.dead_pods
    const keep = (count: number) => new Newest<Found>(count, ({ status }) => status.epoch)
    this.newest = { REPLAYING: keep(rows), LIVE: keep(rows), OFFLINE: keep(Math.max(rows, limits.mail_clients)) }
  }

  add(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      if (this.scanned++ >= this.limit) return
      const seen = Status.seenWith(entry.status, this.livePods)
      this.clients[seen]++
      this.countPod(entry.status)
      if (!this.isAskedFor(entry, seen)) continue
      this.matches++
      this.newest[seen].add({ ...entry, seen })
    }
  }

  get found(): Readonly<Record<Status.StatusName, ReadonlyArray<Found>>> {
    const { LIVE, OFFLINE, REPLAYING } = this.newest
    return { LIVE: LIVE.items, OFFLINE: OFFLINE.items, REPLAYING: REPLAYING.items }
  }

  get counted(): Omit<Census, "rows" | "rowsMore"> {
    const pods = [...this.byPod].map(([pod, clients]): PodView => ({ pod, clients, isLive: this.livePods.has(pod) }))
    return { clients: this.clients, clientsMore: this.scanned > this.limit, pods }
  }

  /** Of a pod that is gone, those that it has left behind: as many such pods as may be. */
  private countPod({ _tag, pod }: Status.Status): void {
    const clients = this.byPod.get(pod)
    if (_tag === "OFFLINE") return
    if (clients === undefined && this.byPod.size >= this.livePods.size + this.deadPods) return
    this.byPod.set(pod, (clients ?? 0) + 1)
  }

  private isAskedFor({ clientId }: Entry, seen: Status.StatusName): boolean {
    const { search = "", status = seen } = this.asked
    return status === seen && clientId.includes(search)
  }
}
