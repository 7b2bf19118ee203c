/**
 * How a WebSocket door words what is said on it. `native` is `nimbus.v1`; `plain` is for clients that know nothing of
 * Nimbus and send `{"type":"event","data":…}`.
 *
 * | | native | plain |
 * | --- | --- | --- |
 * | an event | has a name | without a name it is `event` |
 * | results | a frame for each batch | a frame for each: `{"type":"event","seq":…,"id":…,"name":…,"data":…}` |
 * | everything else told | its own keys | in `data`, so that a client may pass it over by its `type` |
 *
 * What can't be done in frames, acks and pings, is the same in both. See docs/websocket.md and docs/approaches.md.
 */
import { type ClientId, type EventId, Frames, type Item } from "@nimbus/domain"
import type { Result } from "effect"
import type { Notice } from "../Door.ts"
import type { GatewayLimits } from "../Limits.ts"
import { encodePlainResults, encodeResults } from "./ResultsFrame.ts"

/** What is wrong with what a client sent. */
export interface Refusal {
  readonly code: string
  readonly message: string
  /** The event that is refused, where it has an id. */
  readonly id: string | undefined
}

export interface Wording {
  readonly parse: (text: string) => Result.Result<Frames.ClientFrame, Frames.BadFrame>
  /** Whether the bytes of a whole event are the record as they are. */
  readonly isRecord: boolean
  readonly results: (items: ReadonlyArray<Item>, withJourney: boolean) => ReadonlyArray<Uint8Array>
  readonly notices: (notice: Notice, about: About) => ReadonlyArray<object>
  readonly refusal: (refusal: Refusal) => object
}

/** What a frame may tell beside what the notice says. */
export interface About {
  readonly clientId: ClientId
  readonly limits: GatewayLimits
  readonly now_ms: number
}

export const native: Wording = {
  parse: Frames.parseClientFrame,
  isRecord: true,
  results: (items, withJourney) => [encodeResults(items, withJourney)],
  notices: (notice, about) => [nativeNotice(notice, about)],
  refusal: ({ code, id, message }): Frames.ServerFrame =>
    id === undefined ? { type: "error", code, message } : { type: "refused", id, code, message },
}

export const plain: Wording = {
  parse: parsePlain,
  isRecord: false,
  results: encodePlainResults,
  notices: plainNotices,
  refusal: ({ code, id, message }) => ({
    type: code === "NOT_JSON" ? "error" : "reject",
    code,
    ...(id === undefined ? {} : { event_id: id }),
    data: message,
  }),
}

const nativeNotice = (notice: Notice, { clientId, limits }: About): Frames.ServerFrame => {
  switch (notice._tag) {
    case "Welcome": {
      const { after, epoch, log, status } = notice
      return { type: "welcome", clientId, epoch, status, log, after, limits: toldLimits(limits) }
    }
    case "Accepted":
      return { type: "accepted", ids: notice.ids }
    case "Status":
      return { type: "status", status: notice.status }
    case "Lost":
      return { type: "lost", ...lostRange(notice) }
    case "Error":
      return { type: "error", code: notice.code, message: notice.message }
  }
}

function plainNotices(notice: Notice, { clientId, limits, now_ms }: About): ReadonlyArray<object> {
  switch (notice._tag) {
    case "Welcome": {
      const { after, epoch, log, status } = notice
      return [{ type: "welcome", data: { clientId, epoch, status, log, after, limits: toldLimits(limits) } }]
    }
    case "Accepted":
      return notice.ids.map((id) => accepted(id, clientId, now_ms))
    case "Status":
      return [{ type: "status", data: notice.status }]
    case "Lost":
      return [{ type: "lost", data: lostRange(notice) }]
    case "Error":
      return [{ type: "error", code: notice.code, data: notice.message }]
  }
}

const toldLimits = ({ events_per_second, frame_bytes, idle_timeout_ms, session }: GatewayLimits) => {
  return { frame_bytes, window_results: session.window_results, events_per_second, idle_timeout_ms }
}

const lostRange = ({ after, upTo }: Notice & { readonly _tag: "Lost" }) =>
  upTo === undefined ? { after } : { after, upTo }

const accepted = (id: EventId, clientId: ClientId, now_ms: number) => ({
  type: "event_accepted",
  event_id: id,
  client_id: clientId,
  status: "Event accepted",
  created_at: new Date(now_ms).toISOString(),
})

/** The name of an event whose sender gave it none. Its handler echoes the data. */
const plainName = "event"

function parsePlain(text: string): Result.Result<Frames.ClientFrame, Frames.BadFrame> {
  return Frames.parseClientFrame(text, plainName)
}
