/**
 * The words of NimbusWS, for clients that know its server and not Nimbus. docs/approaches.md shows both conversations.
 *
 * ```
 *   {"type":"event","data":…} ──▶ event_accepted, then processed_finished
 *   another type              ──▶ reject
 *   not JSON, or null         ──▶ error
 * ```
 *
 * 1. Each frame has all fields of NimbusWS's frame, with values of the same types. What Nimbus adds stands beside them.
 * 2. `event_accepted` precedes the `processed_finished` of its event, which holds the very same object (`Unaccepted.ts`).
 * 3. The event's data and the handler's answer are cut out of their texts and never written again: a large integer stays
 *    what it is.
 * 4. Frames that NimbusWS does not have go only to a connection that asks for them: `frames=all`. A repeat is one: its
 *    `processed_finished` was that of the first event with its id, and there is no second one. A part of a task is another;
 *    the end of the task is the `processed_finished` of its event.
 */
import { isUtf8 } from "node:buffer"
import { boundlessNumber, isNestedTooDeeply, membersOf, nestingMessage } from "@nimbus/domain/json"
import {
  decodeResult,
  encodeAcceptedEvent,
  type EventId,
  Frames,
  type Item,
  Journey,
  type Result as ResultRecord,
  type Seq,
} from "@nimbus/domain/protocol"
import { Predicate, Result } from "effect"
import type { Notice } from "../Transport.ts"
import { Unaccepted, type Waiting } from "./Unaccepted.ts"
import {
  type About,
  type Frame,
  type FrameFormat,
  lostRange,
  type Refusal,
  limitsForClients,
  type FrameCodec,
} from "./FrameCodec.ts"

const refusal = ({ code, id, message }: Refusal): object => ({
  type: code === "NOT_JSON" ? "error" : "reject",
  code,
  ...(id === undefined ? {} : { event_id: id }),
  data: message,
})

/** The name of an event whose sender gave it none. Its handler echoes the data. */
const defaultName = "event"

class NimbusWsCodec implements FrameCodec {
  readonly refusal = refusal
  private readonly about: About
  private readonly unaccepted = new Unaccepted()
  private readonly hearsMore: boolean

  constructor(about: About) {
    this.about = about
    this.hearsMore = about.query.frames === "all" || about.query.ack === "client"
  }

  /** A binary frame is read as text, as NimbusWS reads it, where it is UTF-8: nothing in it may come back as something else. */
  parse(data: Buffer, isBinary: boolean): Result.Result<Frames.ClientFrame, Frames.BadFrame> {
    if (isBinary && !isUtf8(data)) return bad("NOT_JSON", "The frame is not UTF-8")
    const text = data.toString()
    return Result.flatMap(Frames.parseJson(text), (frame) => {
      if (frame === null) return bad("NOT_JSON", "Cannot read properties of null (reading 'type')")
      const type = property(frame, "type")
      if (type === "event") return eventIn(frame, text)
      if (type === "auth" && this.about.isOpen === false) return Frames.clientFrameOf(frame, text.length)
      if (this.hearsMore && (type === "ack" || type === "cancel" || type === "ping"))
        return Frames.clientFrameOf(frame, text.length)
      return bad("BAD_FRAME", "Unknown message type")
    })
  }

  record(event: Frames.EventFrame, id: EventId, data: Buffer): Uint8Array {
    const created_at = isoTime(this.about.now())
    const written = membersOf(data.toString()).get("data")
    const record = encodeAcceptedEvent({ id, name: event.name }, created_at, written)
    this.unaccepted.add({ id, created_at, hasData: written !== undefined, record })
    return record
  }

  results(items: ReadonlyArray<Item>): ReadonlyArray<Frame> {
    const finished_at = isoTime(this.about.now())
    return items.flatMap((item) => this.result(item, finished_at))
  }

  notices(notice: Notice): ReadonlyArray<Frame> {
    if (notice._tag === "Accepted") return this.unaccepted.accepted(notice.ids.length).map(this.eventAccepted)
    if (notice._tag === "Error") return [JSON.stringify({ type: "error", code: notice.code, data: notice.message })]
    if (notice._tag === "Refused") {
      const { capability, ...refused } = notice
      return [JSON.stringify({ ...refusal(refused), ...(capability !== undefined && { capability }) })]
    }
    return this.about.query.frames === "all" ? [JSON.stringify(this.added(notice))] : []
  }

  /** A frame that NimbusWS does not have. */
  private added(notice: Exclude<Notice, { readonly _tag: "Accepted" | "Error" | "Refused" }>): object {
    switch (notice._tag) {
      case "Welcome": {
        const { after, epoch, log, status } = notice
        const { limits, query } = this.about
        const data = { clientId: query.clientId, epoch, status, log, after, limits: limitsForClients(limits) }
        return { type: "welcome", data }
      }
      case "Cancelling":
        return { type: "cancelling", data: notice.ids }
      case "Status":
        return { type: "status", data: notice.status }
      case "Lost":
        return { type: "lost", data: lostRange(notice) }
      case "Expiring":
        return { type: "expiring", data: notice.seconds }
      case "Authenticated":
        return { type: "authenticated", data: notice.seconds ?? null }
    }
  }

  private result(item: Item, finished_at: string): ReadonlyArray<Frame> {
    const result = decodeResult(item.value)
    if (Result.isFailure(result)) return [corrupt(item.seq)]
    const { accepted, id, of, repeated, seq } = result.success
    if (of !== undefined) return this.taskItem(item, { ...result.success, id: of }, finished_at)
    const proved = accepted === undefined ? [] : this.unaccepted.prove(id, accepted.created_at)
    const own =
      repeated === undefined ? [this.finished(item, result.success, finished_at)] : this.repeated({ seq, id, repeated })
    return [...proved.map(this.eventAccepted), ...own]
  }

  private repeated(data: Pick<ResultRecord, "seq" | "id" | "repeated">): ReadonlyArray<Frame> {
    return this.about.query.frames === "all" ? [JSON.stringify({ type: "repeated", data })] : []
  }

  /** As its event `result.id` is known to the client. */
  private taskItem(item: Item, result: ResultRecord, finished_at: string): ReadonlyArray<Frame> {
    if (result.end !== undefined) return [this.finished(item, result, finished_at)]
    return this.about.query.frames === "all" ? [`{"type":"task_part","data":${text(item.value)}}`] : []
  }

  private readonly eventAccepted = ({ created_at, hasData, id, record }: Waiting): Frame =>
    this.acceptedEvent(id, created_at, hasData ? membersOf(text(record)).get("data") : undefined)

  private acceptedEvent(id: string, created_at: string, data: string | undefined): string {
    return (
      `{"type":"event_accepted","event_id":${JSON.stringify(id)},"client_id":"${this.about.query.clientId}",` +
      `"status":"Event accepted","created_at":"${created_at}"${data === undefined ? "" : `,"data":${data}`}}`
    )
  }

  private finished(item: Item, result: ResultRecord, finished_at: string): string {
    const members = membersOf(text(item.value))
    const answer = result.error === undefined ? "data" : "error"
    const event = this.eventOf(result, members, finished_at)
    return (
      `{"type":"processed_finished","payload":${this.payload(result, event, finished_at)},` +
      `"finished_at":"${finished_at}","seq":${result.seq},"id":${JSON.stringify(result.id)},` +
      `"name":${JSON.stringify(result.name)},"${answer}":${members.get(answer) ?? "null"}${endOf(result)}` +
      `${this.journey(item)}}`
    )
  }

  /** The event as its client was told that it is accepted. Of a record that does not say: as far as it says. */
  private eventOf({ accepted, end, id }: ResultRecord, members: ReadonlyMap<string, string>, now: string): string {
    if (accepted === undefined) return this.acceptedEvent(id, now, end === undefined ? members.get("data") : undefined)
    return this.acceptedEvent(id, accepted.created_at, membersOf(members.get("accepted") ?? "").get("data"))
  }

  /** What NimbusWS's pipeline answers. What failed or was cancelled must not count as a success, and has the same fields. */
  private payload({ accepted, end, error, id, seq }: ResultRecord, event: string, now: string): string {
    const { place, query } = this.about
    const [type, status] =
      error === undefined && end !== "cancelled"
        ? ["event_processed_successfully", "Event Processed Successfully"]
        : ["event_processing_failed", "Event Processing Failed"]
    return (
      `{"type":"${type}","event_id":${JSON.stringify(id)},"client_id":"${query.clientId}","payload":${event},` +
      `"status":"${status}","completed_at":"${accepted?.completed_at ?? now}",` +
      `"processed_result_sent_to":${JSON.stringify(place.results)},"partition":${place.partition},` +
      `"topic":${JSON.stringify(place.events)},"kafka_offset":"${seq}"}`
    )
  }

  private journey({ headers }: Item): string {
    if (this.about.query.journey !== "true" || !Journey.isSampled(headers)) return ""
    return `,"journey":${JSON.stringify(Journey.steps(headers))}`
  }
}

export const nimbusWs: FrameFormat = { refusal, open: (about) => new NimbusWsCodec(about) }

/** `id` and `name` that are no text are the client's own, and passed over as NimbusWS does. */
const eventIn = (frame: unknown, json: string): Result.Result<Frames.ClientFrame, Frames.BadFrame> => {
  const [id, name] = [property(frame, "id"), property(frame, "name")]
  if (isNestedTooDeeply(frame, json.length)) return bad("BAD_FRAME", nestingMessage)
  const boundless = boundlessNumber(json)
  if (boundless !== undefined) return bad("BAD_NUMBER", boundless)
  const named = { type: "event", name: typeof name === "string" ? name : defaultName }
  return Frames.clientFrameOf(typeof id === "string" ? { ...named, id } : named, 0)
}

const endOf = ({ attempt, end, part }: ResultRecord): string =>
  end === undefined ? "" : `,"attempt":${attempt},"part":${part},"end":"${end}"`

const property = (u: unknown, name: string): unknown => (Predicate.hasProperty(u, name) ? u[name] : undefined)

const bad = (code: Frames.BadFrame["code"], message: string): Result.Result<never, Frames.BadFrame> =>
  Result.fail({ code, message, id: undefined })

const corrupt = (seq: Seq): string =>
  JSON.stringify({ type: "error", code: "CORRUPT_RECORD", data: `the record at ${seq} can't be read`, seq })

const decoder = new TextDecoder()
const text = (value: Uint8Array): string => decoder.decode(value)

const isoTime = (ms: number): string => new Date(ms).toISOString()
