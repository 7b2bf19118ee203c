/** One client: what the registry, its mailbox, this gateway's session and the log know of it. */
import {
  type ClientId,
  decodeEvent,
  partitionOf,
  seqUnsafe,
  start,
  Status,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import { EventLog, Mailbox, Registry, Topics } from "@nimbus/domain/services"
import { AdminUnavailable, type ClientView, type MailboxView, NotFound } from "@nimbus/domain/admin"
import { Effect, Option, Result } from "effect"
import { Delivery } from "../delivery/Delivery.ts"
import type { AdminLimits } from "../Limits.ts"
import type { LogReader } from "./LogReader.ts"

export const makeClientViews = Effect.fnUntraced(function* (reader: LogReader, limits: AdminLimits) {
  const log = yield* EventLog
  const topics = yield* Topics
  const registry = yield* Registry
  const mailbox = yield* Mailbox
  const delivery = yield* Effect.serviceOption(Delivery)

  const registered = Effect.fnUntraced(function* (clientId: ClientId) {
    const [[stored], livePods] = yield* Effect.all([registry.statuses([clientId]), registry.livePods], {
      concurrency: 2,
    })
    if (stored === undefined) return {}
    const { epoch, pod } = stored
    return { registry: { status: Status.seenWith(stored, new Set(livePods)), epoch, pod } }
  })

  /** From the end of the log backwards, a part at a time, until there are enough. */
  const lastEvents = Effect.fnUntraced(function* (clientId: ClientId) {
    const partition = partitionOf(clientId, log.partitions)
    const { from, upTo } = yield* reader.range(topics.events, partition)
    const first = Math.max(from, upTo - limits.last_scan_records)
    const found: Array<LastEvent> = []
    for (let end = upTo; end > first && found.length < limits.last_events; end -= part_records) {
      const part: Array<LastEvent> = []
      const upTo = yield* reader.read(
        topics.events,
        partition,
        { from: Math.max(first, end - part_records), upTo: end },
        (records) => Effect.sync(() => part.push(...eventsOf(clientId, records))),
      )
      found.push(...part.reverse())
      if (upTo < end) break
    }
    return found.slice(0, limits.last_events)
  })

  const client = Effect.fn("ClientViews.client")(
    function* (clientId: ClientId) {
      const [known, stats, last] = yield* Effect.all(
        [registered(clientId), mailbox.stats(clientId), lastEvents(clientId)],
        { concurrency: "unbounded" },
      )
      const session = Option.flatMap(delivery, ({ session }) => Option.fromUndefinedOr(session(clientId)))
      return {
        clientId,
        ...known,
        partition: partitionOf(clientId, log.partitions),
        mailbox: stats,
        ...(Option.isSome(session) ? { session: session.value } : {}),
        lastEvents: last,
      } satisfies ClientView
    },
    Effect.mapError(unavailable),
    Effect.filterOrFail(isKnown, unknown),
  )

  const mail = Effect.fn("ClientViews.mailbox")(function* (clientId: ClientId, records: number) {
    const [{ acked, bytes, floor, results }, page] = yield* Effect.all(
      [mailbox.stats(clientId), mailbox.page(clientId, start, { results: records, bytes: limits.mailbox_bytes })],
      { concurrency: 2 },
    )
    const shown = page.records.map(({ seq, value }) => ({ seq, value: decoder.decode(value) }))
    return { clientId, results, bytes, acked, floor, records: shown, more: !page.short } satisfies MailboxView
  }, Effect.mapError(unavailable))

  return { client, mailbox: mail }
})

const isKnown = ({ lastEvents, mailbox: { acked, floor, results }, registry, session }: ClientView): boolean => {
  const isUntouched = results === 0 && acked === start && floor === start
  return registry !== undefined || session !== undefined || lastEvents.length > 0 || !isUntouched
}

const unknown = ({ clientId }: ClientView) =>
  new NotFound({ message: `nothing is known of a client ${clientId}: it was never here, or all of it has expired` })

/** Records that one look into the past of a partition reads. */
const part_records = 1_000

const decoder = new TextDecoder()

type LastEvent = ClientView["lastEvents"][number]

const eventsOf = (clientId: ClientId, records: ReadonlyArray<StoredRecord>): ReadonlyArray<LastEvent> =>
  records.flatMap(({ key, offset, timestamp, value }) => {
    if (key !== clientId) return []
    const event = decodeEvent(value)
    if (Result.isFailure(event) || event.success.type === "barrier") return []
    const { id, name, type } = event.success
    return [{ seq: seqUnsafe(offset), time: timestamp, type, id, name }]
  })

const unavailable = (error: AdminUnavailable | { readonly code: string; readonly operation: string }) =>
  "operation" in error ? new AdminUnavailable({ message: `${error.operation}: ${error.code}` }) : error
