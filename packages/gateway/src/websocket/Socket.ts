/**
 * One WebSocket: it reads frames, writes frames in the frame format of its transport, and enforces the bounds of the
 * socket.
 *
 * - Reading: a frame is checked and passed on. An error is sent to the sender, counted, and does not affect other
 *   clients. The socket is not read while the log is behind or the sender is too fast.
 * - Writing: results are written in batches, each in one write to the kernel. While more than `socket_buffer_bytes`
 *   wait for the kernel, the session waits until the socket has drained. All other writes are bounded too:
 *   `BoundedWebSockets.ts`.
 * - `ack=auto`: `AutoAck` decides what the client has read, by the pongs that have arrived.
 */
import type { Duplex } from "node:stream"
import {
  type Asked,
  AutoAck,
  closeCodes,
  type CloseReason,
  type Cursor,
  EventId,
  type Frames,
  type Headers,
  type Item,
  type Seq,
  start,
} from "@nimbus/domain/protocol"
import type { RandomIds } from "@nimbus/domain/services"
import { type Clock, Result } from "effect"
import { inBatches } from "../sockets/Batches.ts"
import type { BoundedWebSocket } from "../sockets/BoundedWebSockets.ts"
import type { SessionHandle, Transport, Notice } from "../Transport.ts"
import type { Reading } from "../sockets/FairReading.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import { Throttle, type Within } from "../sockets/Throttle.ts"
import type { Timers } from "../sockets/Timers.ts"
import type { TooMuch } from "../subjects/SubjectBook.ts"
import { messageOf } from "../subjects/Subjects.ts"
import type { Frame, Refusal, FrameCodec } from "./FrameCodec.ts"
import type { Early } from "./Unadmitted.ts"

/** Of a short frame of a client, with its mask. */
const control_head_bytes = 6

export interface SocketOptions {
  /** Of the transport. */
  readonly name: string
  readonly trace: Headers | undefined
  readonly ws: BoundedWebSocket
  /** What `ws` writes to. */
  readonly raw: Duplex
  readonly codec: FrameCodec
  readonly autoAck: boolean
  readonly journey: boolean
  /** Frames that came before it was known whose it is. */
  readonly early: ReadonlyArray<Early>
  /** It ends because what its client has shown counts for nothing. */
  readonly unauthenticated: () => void
  readonly limits: GatewayLimits
  readonly reading: Pick<Reading, "count" | "countControl">
  readonly counts: Counts
  readonly clock: Clock.Clock
  readonly timers: Timers["Service"]
  readonly ids: RandomIds
}

export class Socket implements Transport {
  readonly name: string
  readonly trace: Headers | undefined
  private readonly ws: BoundedWebSocket
  private readonly options: SocketOptions
  private readonly throttle: Throttle
  private handle: SessionHandle | undefined = undefined
  /** Frames that came before the session is open, at most what is read at once. */
  private early: Array<Early>
  /** Reasons not to read: the log is behind, or the sender too fast. */
  private pauses = 0
  private isBehind = false
  /** Everything up to here was written to the socket. */
  private handed: Cursor = start
  /** `ack=auto`; there is no window, but a client's library reads ahead of its program. */
  private readonly autoAck: AutoAck
  /** The pings under way, in order: at most one for each `mark_bytes` of what is not acknowledged, and one more. */
  private pinged: Array<Asked> = []
  private heard_ms: number

  constructor(options: SocketOptions) {
    this.options = options
    this.name = options.name
    this.trace = options.trace
    this.ws = options.ws
    this.early = [...options.early]
    this.heard_ms = this.now()
    this.autoAck = new AutoAck(options.limits.auto_ack, 0)
    this.throttle = new Throttle(options.limits.events_per_second, this, () => this.now(), options.timers)
    this.ws.on("message", (data: Buffer, isBinary) => this.receive(data, isBinary))
    this.ws.on("pong", (payload) => this.pong(payload))
    this.ws.on("ping", (payload) => this.ping(payload))
    // `ws` closes on its own on a protocol error (too big: 1009, not UTF-8: 1007); "close" follows.
    this.ws.on("error", () => options.counts.addTo("refused", "PROTOCOL_ERROR"))
    this.ws.on("close", () => this.handle?.closed())
    // Nothing is read before the session is open.
    this.pause()
  }

  /** The session is open: from here on frames are read. */
  attach(handle: SessionHandle): void {
    this.handle = handle
    if (this.isGone) return handle.closed()
    const { early } = this
    this.early = []
    for (const { data, isBinary } of early) this.receive(data, isBinary)
    this.resume()
  }

  get isGone(): boolean {
    return this.ws.readyState !== this.ws.OPEN
  }

  deliver(items: ReadonlyArray<Item>): boolean {
    // It is told to wait until it is closed: what goes to nobody would only be read and encoded.
    if (this.isGone) return false
    const { autoAck, limits, raw } = this.options
    raw.cork()
    if (!autoAck) this.sendResults(items)
    else for (const batch of inBatches(items, limits.auto_ack.mark_bytes)) this.sendResults(batch)
    raw.uncork()
    this.isBehind = this.ws.bufferedAmount > this.options.limits.socket_buffer_bytes
    return !this.isBehind
  }

  notify(notice: Notice): void {
    if (notice._tag === "Lost" && notice.upTo !== undefined) {
      this.handed = notice.upTo
      this.wrote(0)
    }
    const { counts, codec } = this.options
    if (notice._tag === "Error") counts.addTo("refused", notice.code)
    for (const frame of codec.notices(notice)) this.writeFrame(frame)
  }

  close({ code, reason }: CloseReason): void {
    if (code === closeCodes.unauthenticated.code) this.options.unauthenticated()
    this.ws.close(code, reason)
    // The peer's answer to the close must be read; one that does not answer is cut off.
    this.ws.resume()
    this.options.timers.after(this.options.limits.close_ms, () => this.ws.terminate())
  }

  limit(within: Within): void {
    this.throttle.within(within)
  }

  pause(): void {
    if (this.pauses++ === 0) this.ws.pause()
  }

  resume(): void {
    if (--this.pauses === 0 && !this.isGone) this.ws.resume()
  }

  /** Called periodically: with `ack=auto` what was sent is acknowledged by its age, too. */
  look(now_ms: number): void {
    if (this.options.autoAck && this.autoAck.look(now_ms) && this.pinged.length === 0) this.askForPong()
  }

  /** Called periodically: pings a silent peer, and gives up on one that stays silent. */
  check(now_ms: number): void {
    const silent_ms = now_ms - this.heard_ms
    const { idle_timeout_ms } = this.options.limits
    // A socket that is not read can't be heard.
    if (this.pauses > 0) this.heard_ms = now_ms
    else if (silent_ms >= idle_timeout_ms) this.giveUp()
    else if (silent_ms >= idle_timeout_ms / 2 && this.pinged.length === 0 && !this.isGone) this.ws.ping()
  }

  /** Says what is wrong and closes. */
  refuse(code: string, message: string): void {
    this.tellError(code, message)
    this.close(closeCodes.badRequest)
  }

  private receive(data: Buffer, isBinary: boolean): void {
    if (this.ws.isCut) return
    // Of what was read at once the rest may come although it is not read any more.
    if (this.handle === undefined) return void this.early.push({ data, isBinary })
    const now_ms = this.now()
    this.heard_ms = now_ms
    this.options.reading.count()
    const tooMuch = this.throttle.take(now_ms, data.length)
    const frame = this.options.codec.parse(data, isBinary)
    if (Result.isFailure(frame)) return this.refuseFrame(frame.failure)
    switch (frame.success.type) {
      case "event":
        return tooMuch === undefined ? this.takeEvent(frame.success, data) : this.refuseMore(frame.success, tooMuch)
      case "cancel":
        return tooMuch === undefined ? this.handle?.cancel(frame.success.id) : this.refuseMore(frame.success, tooMuch)
      case "ack":
        return this.takeAck(frame.success.seq)
      case "ping":
        return this.write({ type: "pong" })
      case "auth":
        return this.handle?.renew({ token: frame.success.token })
    }
  }

  private takeEvent(event: Frames.EventFrame, data: Buffer): void {
    const id = event.id ?? EventId.make(this.options.ids.uuid())
    this.handle?.event(id, event.name, () => this.options.codec.record(event, id, data), this.options.journey)
  }

  /** Beyond the credit of its subject. */
  private refuseMore({ id, type }: Frames.EventFrame | Frames.CancelFrame, tooMuch: TooMuch): void {
    const refusal = { ...tooMuch, message: messageOf(tooMuch) }
    if (id === undefined) return this.notify({ _tag: "Error", ...refusal })
    this.options.counts.addTo("refused", tooMuch.code)
    this.notify({ _tag: "Refused", id, isCancel: type === "cancel", ...refusal })
  }

  private takeAck(seq: Seq): void {
    if (this.handle?.ack(seq) === false && !this.isGone) {
      this.tellError("ACK_BEYOND_SENT", `seq ${seq} was not sent on this connection`)
    }
  }

  private tellError(code: string, message: string): void {
    this.refuseFrame({ code, message, id: undefined })
  }

  private refuseFrame(refusal: Refusal): void {
    this.options.counts.addTo("refused", refusal.code)
    this.write(this.options.codec.refusal(refusal))
  }

  private sendResults(items: ReadonlyArray<Item>): void {
    let bytes = 0
    for (const frame of this.options.codec.results(items)) {
      bytes += frame.length
      this.ws.sendBounded(frame, this.sent)
    }
    this.handed = items.at(-1)?.seq ?? this.handed
    this.wrote(bytes)
  }

  private write(frame: object): void {
    this.writeFrame(JSON.stringify(frame))
  }

  private writeFrame(frame: Frame): void {
    if (!this.isGone) this.ws.send(frame, { binary: false }, this.sent)
  }

  /** After each write; a socket that has gone reports here too, and "close" follows. */
  private readonly sent = (): void => {
    if (this.isGone || !this.isBehind || this.ws.bufferedAmount > this.options.limits.socket_buffer_bytes / 2) return
    this.isBehind = false
    this.handle?.drained()
  }

  /** What is written now stands before the next ping; a frame that is no result need not be counted. */
  private wrote(bytes: number): void {
    if (!this.options.autoAck) return
    this.autoAck.write(this.handed, bytes, this.now())
    this.autoAck.sent(bytes)
    if (this.autoAck.isDue) this.askForPong()
  }

  private askForPong(): void {
    if (this.handle === undefined || this.isGone) return
    const asked = this.autoAck.ask(this.now())
    this.pinged.push(asked)
    this.ws.ping(String(asked.offset), false, this.sent)
  }

  /** `ws` answers it. */
  private ping(payload: Buffer): void {
    this.options.reading.countControl(control_head_bytes + payload.length)
    this.heard_ms = this.now()
  }

  /** Pongs come in the order of their pings; a client may leave some out (RFC 6455, 5.5.3). */
  private pong(payload: Buffer): void {
    this.options.reading.countControl(control_head_bytes + payload.length)
    this.heard_ms = this.now()
    const offset = payload.toString()
    const at = this.pinged.findIndex((asked) => String(asked.offset) === offset)
    const asked = this.pinged[at]
    if (asked === undefined) return
    this.pinged.splice(0, at + 1)
    const upTo = this.autoAck.answered(asked, this.heard_ms)
    if (upTo !== undefined) this.handle?.ack(upTo)
  }

  private now(): number {
    return this.options.clock.currentTimeMillisUnsafe()
  }

  private giveUp(): void {
    this.close(closeCodes.idle)
    // The peer does not answer, so it won't answer the close either.
    this.ws.terminate()
  }
}
