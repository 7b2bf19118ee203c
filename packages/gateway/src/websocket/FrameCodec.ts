/**
 * How one connection of a WebSocket transport words what is said on it: what a client's frame means, what of an event
 * goes into the log, and the frames that the client gets. The one here is `nimbus.v1`; `NimbusWsCodec.ts` has the
 * one of NimbusWS.
 */
import { type ClientId, type EventId, Frames, isTaskRecord, type Item, Journey } from "@nimbus/domain/protocol"
import { Result } from "effect"
import type { Notice } from "../Transport.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Query } from "./ConnectQuery.ts"

/** What is wrong with what a client sent. */
export interface Refusal {
  readonly code: string
  readonly message: string
  /** The event that is refused, where it has an id. */
  readonly id: string | undefined
}

/** The text of a frame, or its bytes. */
export type Frame = string | Uint8Array

/** None of these may throw. */
export interface FrameCodec {
  readonly parse: (data: Buffer, isBinary: boolean) => Result.Result<Frames.ClientFrame, Frames.BadFrame>
  /** An event's bytes for the log; `data` is what `parse` took the event from. */
  readonly record: (event: Frames.EventFrame, id: EventId, data: Buffer) => Uint8Array
  readonly results: (items: ReadonlyArray<Item>) => ReadonlyArray<Frame>
  readonly notices: (notice: Notice) => ReadonlyArray<Frame>
  readonly refusal: (refusal: Refusal) => object
}

/** Whose connection it is, and where it leads. */
export interface About {
  readonly query: Query
  readonly limits: GatewayLimits
  readonly now: () => number
  readonly place: Place
  /** There are no locks. */
  readonly isOpen?: boolean
}

/** Where this client's events lie, and where their results go. */
export interface Place {
  readonly events: string
  readonly results: string
  readonly partition: number
}

/** A transport's words. */
export interface FrameFormat {
  /** For one connection. */
  readonly open: (about: About) => FrameCodec
  /** Said to one that gets none. */
  readonly refusal: FrameCodec["refusal"]
}

const nativeRefusal = ({ code, id, message }: Refusal): Frames.ServerFrame =>
  id === undefined ? { type: "error", code, message } : { type: "refused", id, code, message }

export const native: FrameFormat = {
  refusal: nativeRefusal,
  open: ({ limits, query }) => ({
    parse: parseNative,
    record: nativeRecord,
    results: (items) => [encodeResults(items, query.journey === "true")],
    notices: (notice) => [JSON.stringify(nativeNotice(notice, query.clientId, limits))],
    refusal: nativeRefusal,
  }),
}

const parseNative: FrameCodec["parse"] = (data, isBinary) =>
  isBinary
    ? Result.fail({ code: "BAD_FRAME", message: "frames are text", id: undefined })
    : Frames.parseClientFrame(data.toString())

/**
 * The client's own bytes go into the log, if they are a whole record, and not one of a task by a key that the frame has
 * besides; otherwise the event is encoded again.
 */
const nativeRecord: FrameCodec["record"] = (event, id, data) =>
  event.id === undefined || event.data === undefined || isTaskRecord(data)
    ? Buffer.from(JSON.stringify({ type: "event", id, name: event.name, data: event.data ?? null }))
    : data

const nativeNotice = (notice: Notice, clientId: ClientId, limits: GatewayLimits): Frames.ServerFrame => {
  switch (notice._tag) {
    case "Welcome": {
      const { after, epoch, log, status } = notice
      return { type: "welcome", clientId, epoch, status, log, after, limits: limitsForClients(limits) }
    }
    case "Accepted":
      return { type: "accepted", ids: notice.ids }
    case "Cancelling":
      return { type: "cancelling", ids: notice.ids }
    case "Status":
      return { type: "status", status: notice.status }
    case "Lost":
      return { type: "lost", ...lostRange(notice) }
    case "Error":
      return { type: "error", code: notice.code, message: notice.message, ...waitOf(notice) }
    case "Refused": {
      const { capability, code, id, message } = notice
      return { type: "refused", id, code, message, ...(capability !== undefined && { capability }), ...waitOf(notice) }
    }
    case "Expiring":
      return { type: "expiring", seconds: notice.seconds }
    case "Authenticated":
      return { type: "authenticated", ...(notice.seconds !== undefined && { seconds: notice.seconds }) }
  }
}

const waitOf = ({ retry_ms }: Extract<Notice, { readonly _tag: "Error" | "Refused" }>) =>
  retry_ms === undefined ? {} : { retry_ms }

/** The bounds that a client is told. */
export const limitsForClients = ({
  dedupe_records,
  events_per_second,
  frame_bytes,
  idle_timeout_ms,
  session,
}: GatewayLimits) => {
  return { frame_bytes, window_results: session.window_results, events_per_second, idle_timeout_ms, dedupe_records }
}

export const lostRange = ({ after, upTo }: Notice & { readonly _tag: "Lost" }) =>
  upTo === undefined ? { after } : { after, upTo }

// Results

const { resultsPrefix, resultsSuffix } = Frames
const comma = 44
const journeyKey = Buffer.from(`,"journey":`)

/**
 * The records' own bytes, copied once, in one `results` frame with commas between. Nothing is parsed or encoded again, but
 * for the journey of a sampled record on a connection that asked for it.
 */
export const encodeResults = (items: ReadonlyArray<Item>, withJourney: boolean): Buffer =>
  join(items.map(valueOf(withJourney)))

const valueOf =
  (withJourney: boolean) =>
  (item: Item): Uint8Array =>
    withJourney && Journey.isSampled(item.headers) ? withSteps(item) : item.value

const join = (values: ReadonlyArray<Uint8Array>): Buffer => {
  let length = resultsPrefix.length + resultsSuffix.length + values.length - 1
  for (const value of values) length += value.length
  const frame = Buffer.allocUnsafe(length)
  frame.set(resultsPrefix, 0)
  let at = resultsPrefix.length
  for (let i = 0; i < values.length; i++) {
    if (i > 0) frame[at++] = comma
    frame.set(values[i]!, at)
    at += values[i]!.length
  }
  frame.set(resultsSuffix, at)
  return frame
}

/** The item with one more key at its end: `{…,"journey":[…]}`. */
const withSteps = ({ headers, value }: Item): Uint8Array =>
  Buffer.concat([
    value.subarray(0, value.length - 1),
    journeyKey,
    Buffer.from(JSON.stringify(Journey.steps(headers))),
    value.subarray(value.length - 1),
  ])
