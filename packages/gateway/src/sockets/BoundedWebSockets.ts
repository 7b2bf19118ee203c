/**
 * `ws`, with a bound on what waits to be written to a peer that does not read (`Unwritten.ts`): pongs, which `ws` sends by
 * itself, and whatever is sent by `send`. Both transports on WebSockets are made of these.
 *
 * A message comes in so many frames at most: `ws` keeps each separately until the last, and one of a byte takes up a
 * hundred.
 *
 * While too much waits the socket is not read, whatever its owner says by `resume`; then the peer has `write_deadline_ms`
 * to take something, by the clock of the TCP socket itself, which sees each byte that the kernel takes.
 */
import type { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { closeCodes, type CloseReason } from "@nimbus/domain/protocol"
import { type ServerOptions, WebSocket, WebSocketServer } from "ws"
import type { GatewayLimits } from "../Limits.ts"
import type { Timers } from "./Timers.ts"
import { type Readable, Unwritten, type UnwrittenLimits } from "./Unwritten.ts"

type Data = Parameters<WebSocket["send"]>[0]
type SendOptions = Parameters<WebSocket["send"]>[1]
type Sent = (error?: Error) => void

export interface Bounds
  extends
    UnwrittenLimits,
    Pick<GatewayLimits, "answers_cut_bytes" | "write_deadline_ms" | "close_ms" | "message_fragments"> {
  readonly timers: Timers["Service"]
  /** A connection ends because its peer takes nothing, or brings too much that is not whole: with the reason of its close. */
  readonly onCut: (reason: string) => void
}

export class BoundedWebSocket extends WebSocket implements Readable {
  /** It is closed for what its peer does, and what was read of it already is not looked at any more. */
  isCut = false
  #bounds: Bounds | undefined
  #unwritten: Unwritten | undefined
  #raw: Socket | undefined
  /** By its owner. */
  #isPaused = false
  /** Reasons not to read it. */
  #stops = 0

  /** Called once, before anything is read. */
  bound(raw: Duplex, bounds: Bounds): void {
    this.#bounds = bounds
    this.#unwritten = new Unwritten(() => bounds, this)
    this.on("message", () => this.#said(bounds))
    this.on("ping", () => this.#said(bounds))
    if (!(raw instanceof Socket)) return
    this.#raw = raw
    raw.on("timeout", () => this.endTooSlow())
  }

  override send(data: Data, cb?: Sent): void
  override send(data: Data, options: SendOptions, cb?: Sent): void
  override send(data: Data, options: SendOptions | Sent = {}, cb?: Sent): void {
    const [given, told] = typeof options === "function" ? [{}, options] : [options, cb]
    const bytes = lengthOf(data)
    this.#unwritten?.add(bytes)
    super.send(data, given, (error) => {
      this.#unwritten?.remove(bytes)
      told?.(error)
    })
  }

  override pong(data?: unknown, mask?: boolean, cb?: (error: Error) => void): void {
    const bytes = Buffer.isBuffer(data) ? data.length : 0
    this.#unwritten?.add(bytes)
    super.pong(data, mask, (error) => {
      this.#unwritten?.remove(bytes)
      cb?.(error)
    })
  }

  /** Sends what its sender keeps within a bound of its own: results. */
  sendBounded(data: Data, cb: Sent): void {
    super.send(data, { binary: false }, cb)
  }

  /** `ws` closes a socket on its own that sends too much, and gives the code alone. */
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? (code === closeCodes.tooBig.code ? closeCodes.tooBig.reason : undefined))
  }

  override pause(): void {
    this.#isPaused = true
    super.pause()
  }

  override resume(): void {
    this.#isPaused = false
    if (this.#stops === 0) super.resume()
  }

  stop(): void {
    if (this.#stops++ > 0) return
    super.pause()
    this.#raw?.setTimeout(this.#bounds?.write_deadline_ms ?? 0)
  }

  goOn(): void {
    if (--this.#stops > 0) return
    this.#raw?.setTimeout(0)
    if (!this.#isPaused) super.resume()
  }

  /** It is not read any more, but this was: so much is in what was read at once that it would be too much. */
  #said({ answers_cut_bytes }: Bounds): void {
    // What the kernel has taken within this turn is told only after it.
    if (this.#raw?.writableLength === 0 || this.#unwritten === undefined) return
    if (this.#unwritten.waiting_bytes > answers_cut_bytes) this.endTooSlow()
  }

  /** Its peer takes nothing. */
  endTooSlow(): void {
    this.#cut(closeCodes.tooSlow)
  }

  /** Its peer has brought too much of a message that is not whole. It is not read any more. */
  endBusy(): void {
    this.#cut(closeCodes.busy)
    super.pause()
  }

  #cut({ code, reason }: CloseReason): void {
    const bounds = this.#bounds
    if (bounds === undefined || this.isCut || this.readyState !== this.OPEN) return
    this.isCut = true
    bounds.onCut(reason)
    this.close(code, reason)
    bounds.timers.after(bounds.close_ms, () => this.terminate())
  }
}

const lengthOf = (data: Data): number => {
  if (typeof data === "string") return data.length
  return typeof data === "object" && "byteLength" in data && typeof data.byteLength === "number" ? data.byteLength : 0
}

/** `ws` would cut off, without a word, a peer for which 60 pongs wait, also one that reads slowly. */
const ownPongs = { maxPendingAutoPongs: 0 }

/** Makes such sockets. */
export class BoundedWebSocketServer extends WebSocketServer<typeof BoundedWebSocket> {
  readonly #bounds: Bounds

  constructor(options: Omit<ServerOptions, "WebSocket">, bounds: Bounds) {
    super({ ...options, ...ownPongs, maxFragments: bounds.message_fragments, WebSocket: BoundedWebSocket })
    this.#bounds = bounds
  }

  override handleUpgrade(
    request: IncomingMessage,
    raw: Duplex,
    head: Buffer,
    taken: (ws: BoundedWebSocket, request: IncomingMessage) => void,
  ): void {
    super.handleUpgrade(request, raw, head, (ws, upgraded) => {
      ws.bound(raw, this.#bounds)
      taken(ws, upgraded)
    })
  }
}

/** The same, for a library that makes its server itself. */
export const serversWithin = (
  bounds: Bounds,
): new (options: Omit<ServerOptions, "WebSocket">) => BoundedWebSocketServer =>
  class extends BoundedWebSocketServer {
    constructor(options: Omit<ServerOptions, "WebSocket">) {
      super(options, bounds)
    }
  }
