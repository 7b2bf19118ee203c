/**
 * Decides how much the gateway reads at once, and from which connection. All connections of all transports share it, so
 * that a few fast senders block neither the others nor the other work of the process.
 *
 * - What the kernel has brought is parsed in slices of about `read_slice_frames`, and at most `read_slice_bytes`. At
 *   most `frames_per_turn` frames are read in one go, for at most `frames_turn_ms`, and then whatever else there is to
 *   do gets `frames_pause_turns` turns of the event loop, or those of `frames_pause_ms`. In a second, no more than
 *   `gateway_frames_per_second` are read.
 * - Whose bytes are next, `FairQueue` says. A frame costs as much as another, whether it is taken or refused; bytes
 *   cost as well, for a frame may be large, and a part of a frame is none yet.
 * - While nobody waits, what comes is handed on as it comes. What waits is at most what the kernel brought at once: its
 *   socket is not read before that is parsed, and TCP carries the pressure back.
 *
 * What a stream was given since its last message is a part of one. Beyond `unfinished_bytes` of that, in all, the
 * connection that has brought the most is notified (`Unfinished.ts`). Each piece counts for more than its bytes, as it
 * takes up more.
 *
 * It stands between the kernel and the stream of a connection (`Readable.push` and `_read`). So a transport's library
 * sees a stream that brings less at a time, and a transport that pauses its stream is given nothing more.
 */
import type { Duplex } from "node:stream"
import { FairQueue, Flow, TokenBucket } from "@nimbus/domain/pacing"
import { Clock, Context, Effect, Layer } from "effect"
import { type GatewayLimits, Limits } from "../Limits.ts"
import { Timers } from "./Timers.ts"
import { Unfinished } from "./Unfinished.ts"

type ReadingLimits = Pick<
  GatewayLimits,
  | "read_slice_frames"
  | "gateway_frames_per_second"
  | "frames_per_turn"
  | "frames_turn_ms"
  | "frames_pause_turns"
  | "frames_pause_ms"
  | "read_slice_bytes"
  | "bytes_per_frame"
  | "unfinished_bytes"
  | "piece_cost_bytes"
>

export const nothing = Buffer.alloc(0)

export class Reading {
  private readonly limits: ReadingLimits
  private readonly now: () => number
  /** How long a go takes: finer than `now`. */
  private readonly elapsed_ms: () => number
  private readonly timers: Timers["Service"]
  private readonly sources = new WeakMap<Duplex, Source>()
  private readonly queue = new FairQueue<Source>()
  private readonly bucket: TokenBucket
  private readonly unfinished: Unfinished<Source>
  /** What may still be read in this turn of the event loop. */
  private left: number
  private left_ms: number
  private isTurnDue = false
  /** Turns of the event loop until then, and since when. */
  private pause = 0
  private paused_ms = 0
  /** Of what is being handed on. */
  private frames = 0
  private isWhole = false
  private control_bytes = 0

  constructor(limits: ReadingLimits, now: () => number, elapsed_ms: () => number, timers: Timers["Service"]) {
    this.limits = limits
    this.now = now
    this.elapsed_ms = elapsed_ms
    this.timers = timers
    this.left = limits.frames_per_turn
    this.left_ms = limits.frames_turn_ms
    this.bucket = new TokenBucket(limits.gateway_frames_per_second, now())
    this.unfinished = new Unfinished(limits.unfinished_bytes, (source) => source.end?.())
  }

  /** Connections whose bytes wait for their turn. */
  get waiting(): number {
    return this.queue.size
  }

  /**
   * A transport has taken a message out of what it is being given, which costs more if it was larger than its bytes.
   */
  count(bytes = 0): void {
    this.frames += 1 + bytes / this.limits.bytes_per_frame
    this.isWhole = true
  }

  /** It has taken a frame of so many bytes that may stand amid the parts of a message. */
  countControl(bytes: number): void {
    this.frames++
    this.control_bytes += bytes
  }

  /**
   * From here on the stream is given what it brings in its turn; first `head`, which was read of it already. `busy` is
   * called where it has brought too much of a message that is not whole, and is to end it; without it, nothing is
   * counted so. A stream that is shared already stays so, with this `busy`.
   */
  share(stream: Duplex, { busy, head = nothing }: { readonly busy?: () => void; readonly head?: Buffer } = {}): void {
    const source = this.sources.get(stream) ?? this.begin(stream)
    source.end = busy
    source.putBack(head)
  }

  /** A stream that is shared is given nothing until it is let go. */
  hold(stream: Duplex): void {
    const source = this.sources.get(stream)
    if (source !== undefined) source.isHeldBack = true
  }

  letGo(stream: Duplex): void {
    const source = this.sources.get(stream)
    if (source === undefined || !source.isHeldBack) return
    source.isHeldBack = false
    source.wake()
  }

  private begin(stream: Duplex): Source {
    const source: Source = new Source(stream, () => this.offer(source))
    this.sources.set(stream, source)
    this.queue.enter(source, this.limits.read_slice_frames)
    stream.once("close", () => this.unfinished.remove(source))
    return source
  }

  /** It has something to be read, and does not wait. */
  private offer(source: Source): void {
    while (source.isReadable) {
      if (this.queue.size > 0 || this.isTurnOver || this.bucket.owed_ms(this.now()) > 0) return this.wait(source)
      this.queue.begin(source)
      this.read(source)
    }
  }

  private get isTurnOver(): boolean {
    return this.left <= 0 || this.left_ms <= 0
  }

  private wait(source: Source): void {
    source.isWaiting = true
    this.queue.add(source)
    this.turnSoon()
  }

  private read(source: Source): void {
    this.frames = 0
    this.isWhole = false
    this.control_bytes = 0
    const from_ms = this.elapsed_ms()
    const { read_slice_bytes, read_slice_frames } = this.limits
    const bytes = source.give(Math.min(read_slice_bytes, Math.ceil(read_slice_frames * source.frame_bytes)))
    source.frame_bytes = Math.max(least_frame_bytes, bytes / Math.max(1, this.frames))
    const cost = this.frames + bytes / this.limits.bytes_per_frame
    this.queue.charge(source, cost)
    this.bucket.spend(this.now(), cost)
    this.left -= cost
    this.left_ms -= this.elapsed_ms() - from_ms
    this.turnSoon()
    if (source.end === undefined) return
    source.part_bytes = this.isWhole || source.isGone ? 0 : Math.max(0, source.part_bytes + bytes - this.control_bytes)
    source.part_pieces = source.part_bytes === 0 ? 0 : source.part_pieces + 1
    this.unfinished.set(source, source.part_bytes + source.part_pieces * this.limits.piece_cost_bytes)
  }

  private turnSoon(): void {
    if (this.isTurnDue) return
    this.isTurnDue = true
    this.pause = this.limits.frames_pause_turns
    this.paused_ms = this.elapsed_ms()
    setImmediate(this.turnOver)
  }

  /** The event loop has come round. */
  private readonly turnOver = (): void => {
    if (this.queue.size === 0) return this.turn()
    const isLong = this.elapsed_ms() - this.paused_ms >= this.limits.frames_pause_ms
    if (--this.pause > 0 && !isLong) return void setImmediate(this.turnOver)
    const owed_ms = this.bucket.owed_ms(this.now())
    if (owed_ms > 0) this.timers.after(owed_ms, this.turn)
    else this.turn()
  }

  private readonly turn = (): void => {
    this.isTurnDue = false
    this.left = this.limits.frames_per_turn
    this.left_ms = this.limits.frames_turn_ms
    while (!this.isTurnOver && this.bucket.owed_ms(this.now()) === 0) {
      const source = this.queue.take()
      if (source === undefined) return
      source.isWaiting = false
      // One that has been paused meanwhile comes back as it is resumed.
      if (!source.isReadable) continue
      this.read(source)
      if (source.isReadable) this.wait(source)
    }
    if (this.queue.size > 0) this.turnSoon()
  }
}

/** WebSocket's head is 6 bytes of it, or more. */
const least_frame_bytes = 6
const usual_frame_bytes = 32

/** What one connection has brought, and its stream has not been given yet. */
class Source extends Flow {
  isWaiting = false
  /** It is given nothing. */
  isHeldBack = false
  /** It has brought too much of a message that is not whole. */
  end: (() => void) | undefined = undefined
  /** Of its frames, about: as large as those that it has sent last. */
  frame_bytes = usual_frame_bytes
  /** Of a message that is not whole: what was given of it, and in how many pieces. */
  part_bytes = 0
  part_pieces = 0
  private readonly stream: Duplex
  private readonly push: Duplex["push"]
  private held: Buffer | undefined = undefined
  private hasEnded = false

  private readonly offer: () => void

  constructor(stream: Duplex, offer: () => void) {
    super()
    this.stream = stream
    this.offer = offer
    this.push = stream.push.bind(stream)
    const read = stream._read.bind(stream)
    stream.push = (chunk: Buffer | null): boolean => {
      if (this.held === undefined && chunk === null) return this.push(null)
      if (chunk === null) this.hasEnded = true
      else this.held = this.held === undefined ? chunk : Buffer.concat([this.held, chunk])
      this.wake()
      // Otherwise the kernel is asked again as soon as the stream is.
      return this.held === undefined && stream.readableFlowing === true
    }
    stream._read = (size) => {
      if (this.held === undefined) read(size)
    }
    stream.on("resume", () => this.wake())
  }

  /** It may have become readable. */
  wake(): void {
    if (!this.isWaiting) this.offer()
  }

  /** What was read of it already comes first. */
  putBack(head: Buffer): void {
    if (head.length > 0) this.held = this.held === undefined ? head : Buffer.concat([head, this.held])
  }

  get isGone(): boolean {
    return this.stream.destroyed
  }

  get isReadable(): boolean {
    if (this.held === undefined || this.isHeldBack) return false
    return this.stream.readableFlowing === true && !this.stream.destroyed
  }

  /** Hands on so many bytes, and after the last the end. Returns how many they were. */
  give(most_bytes: number): number {
    const held = this.held!
    const isLast = held.length <= most_bytes
    this.held = isLast ? undefined : held.subarray(most_bytes)
    // What is answered at once goes out in one write.
    this.stream.cork()
    this.push(isLast ? held : held.subarray(0, most_bytes))
    this.stream.uncork()
    if (isLast && this.hasEnded) {
      this.push(null)
      this.stream.read(0)
    }
    return isLast ? held.length : most_bytes
  }
}

/** One for all transports of a gateway. */
export class FairReading extends Context.Service<FairReading, Reading>()("@nimbus/gateway/FairReading") {
  static readonly layer = Layer.effect(
    FairReading,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const elapsed_ms = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
      return new Reading(yield* Limits, () => clock.currentTimeMillisUnsafe(), elapsed_ms, yield* Timers)
    }),
  ).pipe(Layer.provide(Timers.layer))
}
