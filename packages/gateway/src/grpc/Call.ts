/**
 * One call of `ProcessEvent`: reads requests, writes responses, and keeps the stream honest.
 *
 * - Reading: a message is checked and handed on. One that is no event of ours is refused by an error response, and the
 *   call goes on; one that is no `EventRequest` at all ends it, as gRPC has it. The stream is not read while the log is
 *   behind or the sender is too fast: HTTP/2's window then closes, for this call alone.
 * - Writing: results go out in one write per batch. Beyond `socket_buffer_bytes` not yet taken by the connection the
 *   session is told to wait, until the stream has drained. Whatever else is written has a bound as well (`Unwritten.ts`): a
 *   client that opens no window for it, or does not read its connection, is not read, and then ends with TOO_SLOW.
 * - Acks: as long as the client sends none of its own, `AutoAck` says what it has read, from what flow control has let
 *   through and which PINGs were answered (`Peer.ts`).
 * - Half-closed by the client, the call ends on its own when nothing is left to say: the client is LIVE, its events have
 *   their results, its tasks their ends, and the log has its cancels (`Awaited.ts`). One that was half-closed within a
 *   message ends with BAD_REQUEST then. Once the client's transport has that end,
 *   which the client itself has asked for, all that was sent counts as read. Any other end leaves it open.
 */
import { constants, type Http2ServerResponse, type ServerHttp2Stream } from "node:http2"
import {
  type Asked,
  AutoAck,
  closeCodes,
  type CloseReason,
  type Cursor,
  Cursor as CursorSchema,
  EventId,
  type Headers,
  type Item,
  start,
} from "@nimbus/domain/protocol"
import { Code } from "@connectrpc/connect"
import type { RandomIds } from "@nimbus/domain/services"
import { type Random, Result, Schema } from "effect"
import { inBatches } from "../sockets/Batches.ts"
import { type Notice, type Refusal, refusalOf, type SessionHandle, type Transport } from "../Transport.ts"
import type { Reading } from "../sockets/FairReading.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import { Throttle, type Within } from "../sockets/Throttle.ts"
import type { Timer, Timers } from "../sockets/Timers.ts"
import type { TooMuch } from "../subjects/SubjectBook.ts"
import { messageOf } from "../subjects/Subjects.ts"
import { Unwritten } from "../sockets/Unwritten.ts"
import type { Encoding } from "./Compression.ts"
import { type FrameFault, FrameReader } from "./Frames.ts"
import { Answers } from "./Answers.ts"
import type { Asking, Peer, Question } from "./Peer.ts"
import { Awaited } from "./Awaited.ts"
import { type EventRequest, eventOf, hasEvent, parseRequest } from "./Requests.ts"
import { encode, encodeResults, noticeOf, refusalOf as eventRefusalOf, type ResultRecord } from "./Responses.ts"
import { StepWriter } from "./StepWriter.ts"
import { denialOf, head, okTrailers, trailers, trailersOf } from "./Status.ts"

export interface CallOptions {
  readonly response: Http2ServerResponse
  readonly peer: Peer
  readonly trace: Headers | undefined
  readonly acksByClient: boolean
  /** Whether every event is sampled, for the client. */
  readonly follows: boolean
  /** Whether a result that was sampled, for whatever reason, comes with its steps. */
  readonly showsSteps: boolean
  readonly notices: boolean
  /** Of the client's messages. */
  readonly encoding: Encoding
  /** How long the client gives the call. */
  readonly timeout_ms: number | undefined
  readonly limits: GatewayLimits
  readonly reading: Pick<Reading, "count" | "share">
  readonly counts: Counts
  readonly now: () => number
  readonly timers: Timers["Service"]
  readonly ids: RandomIds
  readonly random: Random.Random
}

export class Call implements Transport, Asking {
  readonly name = "grpc"
  readonly trace: Headers | undefined
  private readonly options: CallOptions
  private readonly stream: ServerHttp2Stream
  private readonly reader: FrameReader
  private readonly throttle: Throttle
  private handle: SessionHandle | undefined = undefined
  private acksByClient: boolean
  /** Reasons not to read: the log is behind, the sender too fast, or too much waits for it. */
  private pauses = 0
  private isBehind = false
  /** Everything up to here was handed to the stream. */
  private handed: Cursor = start
  private readonly writer: StepWriter
  private readonly unwritten: Unwritten
  /** What of it is written, and waits to be let through. */
  private readonly answers: Answers
  private writeDeadline: Timer | undefined = undefined
  private readonly autoAck: AutoAck
  private readonly awaited: Awaited
  private isLive = false
  private isHalfClosed = false
  private hasEnded = false
  /** The end was OK. */
  private isComplete = false
  private readonly leaving = Promise.withResolvers<void>()
  private deadline: Timer | undefined = undefined
  private readonly idPrefix: string
  private ids = 0

  constructor(options: CallOptions) {
    const { limits, response } = options
    this.options = options
    this.idPrefix = options.ids.uuid()
    this.trace = options.trace
    this.stream = response.stream
    this.acksByClient = options.acksByClient
    this.autoAck = new AutoAck(limits.auto_ack, options.peer.window_bytes)
    this.reader = new FrameReader(limits.frame_bytes, options.encoding)
    this.throttle = new Throttle(limits.events_per_second, this, options.now, options.timers)
    this.writer = new StepWriter(this.stream, limits.auto_ack.mark_bytes, (bytes) => this.sent(bytes))
    this.awaited = new Awaited(2 * limits.client_unanswered_events)
    this.unwritten = new Unwritten(() => this.share(), { stop: () => this.stopReading(), goOn: () => this.readOn() })
    this.answers = new Answers((bytes) => this.unwritten.remove(bytes))
    options.reading.share(this.stream, { busy: () => this.busy() })
    this.stream.on("data", (chunk: Buffer) => this.receive(chunk))
    this.stream.on("end", () => this.halfClosed())
    this.stream.on("close", () => this.closed())
    options.peer.calls++
    response.writeHead(200, head)
    if (options.timeout_ms !== undefined) this.deadline = options.timers.after(options.timeout_ms, () => this.late())
    // Nothing is read before the session is open.
    this.pause()
  }

  /** The session is open: from here on requests are read. */
  attach(handle: SessionHandle): void {
    this.handle = handle
    if (this.isGone) return handle.closed()
    this.resume()
  }

  deliver(items: ReadonlyArray<Item>): boolean {
    if (this.isGone) return false
    for (const batch of inBatches(items, this.options.limits.auto_ack.mark_bytes)) {
      this.handed = batch.at(-1)?.seq ?? this.handed
      this.writeBytes(encodeResults(batch, this.options.showsSteps, this.saw), false)
    }
    this.isBehind = this.writer.waiting_bytes > this.options.limits.socket_buffer_bytes
    return !this.isBehind
  }

  notify(notice: Notice): void {
    if (notice._tag === "Status") this.isLive = notice.status === "LIVE"
    if (notice._tag === "Error") this.options.counts.addTo("refused", notice.code)
    if (notice._tag === "Lost" && notice.upTo !== undefined) this.handed = notice.upTo
    if (notice._tag === "Lost") this.awaited.lost()
    if (notice._tag === "Cancelling") this.awaited.logged(notice.ids.length)
    if (notice._tag === "Refused" && notice.isCancel) this.awaited.logged(1)
    if (notice._tag === "Refused" && !notice.isCancel) this.awaited.saw({ id: notice.id })
    if (this.options.notices || toldToAll.has(notice._tag)) this.write(encode(noticeOf(notice, this.options.limits)))
    this.endIfDone()
  }

  close(reason: CloseReason): void {
    this.end(this.trailersOf(reason, sentences.get(reason.code) ?? reason.reason))
  }

  /** It has no session, as it did not show who it is, or may not be it. */
  deny(error: Refusal): void {
    this.options.counts.addTo("refused", error.code)
    const retry_ms = error._tag === "SubjectRefused" ? error.retry_ms : this.retry_ms()
    this.end(denialOf(error, refusalOf(error), retry_ms))
  }

  limit(within: Within): void {
    this.throttle.within(within)
  }

  pause(): void {
    if (this.pauses++ === 0) this.stream.pause()
  }

  resume(): void {
    if (--this.pauses > 0 || this.isGone) return
    this.read(nothing)
    if (this.pauses === 0 && !this.isGone) this.stream.resume()
  }

  /** A PING goes out now. */
  ask(): Question {
    if (this.isComplete) return { answered: () => this.leave(this.handed), unanswered: () => this.leave(undefined) }
    const asked = this.autoAck.ask(this.options.now())
    return { answered: () => this.answered(asked), unanswered: () => {} }
  }

  /** Called periodically: what was sent is acknowledged by its age, too. */
  look(now_ms: number): void {
    if (!this.acksByClient && this.handle !== undefined && this.autoAck.look(now_ms)) this.options.peer.ask(this)
  }

  /** Says what is wrong and ends the call. */
  refuse(code: CloseReason, message: string): void {
    this.options.counts.addTo("refused", code.reason)
    this.handle?.closed()
    this.end(this.trailersOf(code, message))
  }

  /** It has ended well, and its client may know that before it is known here what the client has. */
  get isEnding(): boolean {
    return this.isComplete
  }

  /** Nothing more will be heard of it. */
  get left(): Promise<void> {
    return this.leaving.promise
  }

  get isGone(): boolean {
    return this.hasEnded || this.stream.destroyed
  }

  private receive(chunk: Buffer): void {
    this.options.peer.heard(this.options.now())
    this.read(chunk)
  }

  private read(chunk: Buffer): void {
    if (this.isGone) return
    const now_ms = this.options.now()
    const fault = this.reader.read(chunk, (message) => this.take(message, now_ms))
    if (fault !== undefined) this.stopAt(fault)
  }

  /** Returns whether more is to be read now. */
  private take(message: Uint8Array, now_ms: number): boolean {
    this.options.reading.count(message.length)
    const tooMuch = this.throttle.take(now_ms, message.length)
    const request = parseRequest(message)
    if (Result.isFailure(request)) this.refuse(closeCodes.badRequest, request.failure)
    else {
      if (request.success.ack !== undefined) this.takeAck(request.success.ack)
      if (tooMuch !== undefined) this.refuseMore(request.success, tooMuch)
      else {
        if (hasEvent(request.success)) this.takeEvent(request.success)
        if (request.success.cancel !== undefined) this.takeCancel(request.success.cancel)
      }
      if (request.success.auth !== undefined) this.handle?.renew({ token: request.success.auth })
    }
    return !this.isGone && this.writeDeadline === undefined
  }

  /** All calls of a connection have the bound of one peer together. */
  private share() {
    const { answer_cost_bytes, answers_bytes, connection_answers_bytes } = this.options.limits
    const share = connection_answers_bytes / this.options.peer.calls
    return { answer_cost_bytes, answers_bytes: Math.min(answers_bytes, share) }
  }

  private stopReading(): void {
    this.pause()
    const { write_deadline_ms } = this.options.limits
    this.writeDeadline = this.options.timers.after(write_deadline_ms, () => this.tooSlow())
  }

  private readOn(): void {
    this.writeDeadline?.cancel()
    this.writeDeadline = undefined
    this.resume()
  }

  private busy(): void {
    if (!this.isGone)
      this.refuse(closeCodes.busy, "too much has come that is not whole, and the most of it here: send it again")
  }

  private tooSlow(): void {
    if (!this.isGone) this.refuse(closeCodes.tooSlow, "nothing was read of what waits for this call")
  }

  private stopAt(fault: FrameFault): void {
    if (fault === "too-big") {
      return this.refuse(closeCodes.tooBig, `a message has at most ${this.options.limits.frame_bytes} bytes`)
    }
    this.options.counts.addTo("refused", "BAD_FRAME")
    this.handle?.closed()
    this.end(trailers(Code.Internal, `BAD_FRAME: ${faults[fault]}`))
  }

  /** The client waits no longer: what it was not sent waits for its next call. */
  private late(): void {
    this.handle?.closed()
    this.end(trailers(Code.DeadlineExceeded, "the time that the client gave this call is over"))
  }

  private takeEvent(request: EventRequest): void {
    const event = eventOf(request, () => `${this.idPrefix}-${this.ids++}`)
    if (Result.isFailure(event)) {
      this.options.counts.addTo("refused", event.failure.code)
      return this.write(encode(eventRefusalOf(request, event.failure)))
    }
    const { id, name, value } = event.success
    this.awaited.sent(id)
    this.handle?.event(id, name, () => value, this.options.follows)
  }

  /** Beyond the credit of its subject. */
  private refuseMore(request: EventRequest, tooMuch: TooMuch): void {
    const refusal = { ...tooMuch, message: messageOf(tooMuch) }
    if (hasEvent(request)) {
      this.options.counts.addTo("refused", tooMuch.code)
      this.write(encode(eventRefusalOf(request, refusal)))
    }
    if (request.cancel !== undefined) this.notify({ _tag: "Error", ...refusal })
  }

  private takeCancel(id: string): void {
    if (!isEventId(id)) {
      return this.notify({ _tag: "Error", code: "BAD_FRAME", message: "cancel has an event's id: 1 to 128 characters" })
    }
    this.awaited.cancelled()
    this.handle?.cancel(id)
  }

  private takeAck(seq: bigint): void {
    this.acksByClient = true
    if (seq >= 0n && seq <= BigInt(Number.MAX_SAFE_INTEGER)) {
      if (this.handle?.ack(CursorSchema.make(Number(seq))) === true || this.isGone) return
    }
    this.notify({ _tag: "Error", code: "ACK_BEYOND_SENT", message: `seq ${seq} was not sent in this call` })
  }

  private readonly saw = (record: ResultRecord): void => this.awaited.saw(record)

  private write(bytes: Buffer): void {
    this.writeBytes(bytes, true)
  }

  private writeBytes(bytes: Buffer, isAnswer: boolean): void {
    if (this.isGone) return
    if (isAnswer) this.unwritten.add(bytes.length)
    this.answers.write(bytes.length, isAnswer)
    if (!this.acksByClient) this.autoAck.write(this.handed, bytes.length, this.options.now())
    this.writer.write(bytes)
  }

  /** HTTP/2's flow control has let these bytes through, and the socket has them. */
  private sent(bytes: number): void {
    this.writeDeadline?.refresh()
    this.answers.sent(bytes)
    this.autoAck.sent(bytes)
    if (!this.acksByClient && this.handle !== undefined && this.autoAck.isDue) this.options.peer.ask(this)
    if (this.isBehind && this.writer.waiting_bytes <= this.options.limits.socket_buffer_bytes / 2) {
      this.isBehind = false
      this.handle?.drained()
    }
    this.endIfDone()
  }

  private answered(asked: Asked): void {
    if (this.acksByClient || this.isGone) return
    this.autoAck.widened(this.options.peer.window_bytes)
    const upTo = this.autoAck.answered(asked, this.options.now())
    if (upTo !== undefined) this.handle?.ack(upTo)
  }

  private halfClosed(): void {
    this.isHalfClosed = true
    this.endIfDone()
  }

  private endIfDone(): void {
    const { handle } = this
    if (!this.isHalfClosed || !this.isLive || !this.awaited.isNothing) return
    if (handle === undefined || this.isGone || this.writer.waiting_bytes > 0) return
    if (this.reader.isWithin) return this.refuse(closeCodes.badRequest, "the call was half-closed within a message")
    this.isComplete = true
    this.end(okTrailers)
  }

  /** A stalled client may not take even this: after `close_ms` the stream is cut. One that says more is not heard. */
  private end(trailers: Readonly<Record<string, string>>): void {
    if (this.isGone) return
    this.hasEnded = true
    this.writer.flush()
    this.options.response.addTrailers({ ...trailers })
    this.options.response.end()
    this.stream.resume()
    this.stream.once("wantTrailers", () => setImmediate(() => this.stream.close()))
    this.options.timers.after(this.options.limits.close_ms, () => this.stream.destroy())
  }

  /** The stream is gone. If it ended well, the client's transport says whether it has all of it. */
  private closed(): void {
    this.hasEnded = true
    this.deadline?.cancel()
    this.writeDeadline?.cancel()
    this.options.peer.calls--
    this.options.peer.forget(this)
    const { rstCode, sentTrailers } = this.stream
    // One that the client has reset, for whatever reason, is not read to its end.
    const isWhole = this.isComplete && sentTrailers !== undefined && rstCode === constants.NGHTTP2_NO_ERROR
    if (isWhole && !this.acksByClient) this.options.peer.ask(this)
    else this.leave(undefined)
  }

  /** The last that is heard of this call. `upTo`: the client has that. */
  private leave(upTo: Cursor | undefined): void {
    if (upTo !== undefined) this.handle?.ack(upTo)
    this.handle?.closed()
    this.leaving.resolve()
  }

  private trailersOf(reason: CloseReason, message: string): Readonly<Record<string, string>> {
    return trailersOf(reason, message, this.retry_ms())
  }

  private retry_ms(): number {
    return Math.floor(this.options.random.nextDoubleUnsafe() * this.options.limits.retry_jitter_ms)
  }
}

const nothing = Buffer.alloc(0)

/**
 * A loss or an error is told to every client, and the answer to what older ones can't ask. Otherwise they would take for
 * results what is none.
 */
const toldToAll: ReadonlySet<Notice["_tag"]> = new Set(["Lost", "Error", "Refused", "Authenticated"])

const isEventId = Schema.is(EventId)

const faults = {
  compressed: "a message is compressed, and the call did not say with what",
  broken: "a message is not what gzip makes",
} as const

const sentences: ReadonlyMap<number, string> = new Map([
  [closeCodes.goingAway.code, "the gateway is leaving, come back after a random delay"],
  [closeCodes.kicked.code, "an operator has ended this call, come back after a random delay"],
  [closeCodes.unavailable.code, "a part that the gateway needs does not answer"],
  [closeCodes.superseded.code, "a newer call of this client is there"],
  [closeCodes.tokenExpired.code, "the token has ended: come back with a new one"],
  [closeCodes.revoked.code, "the token, or its subject, was revoked, or its key was removed"],
  [closeCodes.unauthenticated.code, "too many tokens in a row have counted for nothing"],
])
