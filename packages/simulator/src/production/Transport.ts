/**
 * A transport of the simulated gateways: the frames of the native WebSocket transport on a simulated socket. It decides
 * nothing about delivery; that is the production core behind it.
 */
import { anyone } from "@nimbus/domain/access"
import { ClientId, type CloseReason, Cursor, EventId, Frames, type Item, start } from "@nimbus/domain/protocol"
import type { End, SessionWatcher } from "../simulation/index.ts"
import type { SessionHandle, Transport, GatewayLimits, ConnectRequest, Notice } from "@nimbus/gateway"
import { Result } from "effect"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

export class SimulatedTransport implements Transport {
  readonly name = "simulated"
  private readonly end: End
  private readonly clientId: ClientId
  private readonly limits: GatewayLimits
  private readonly watcher: SessionWatcher
  private handle: SessionHandle | undefined = undefined
  isGone = false
  private isBehind = false
  /** Nothing is read before the session is open. */
  private pauses = 1
  private unread: Array<string> = []

  constructor(end: End, clientId: ClientId, limits: GatewayLimits, watcher: SessionWatcher) {
    this.end = end
    this.clientId = clientId
    this.limits = limits
    this.watcher = watcher
    end.listen({
      text: (text) => {
        this.unread.push(text)
        this.readOn()
      },
      closed: () => this.gone(),
      drained: () => this.drained(),
    })
  }

  attach(handle: SessionHandle): void {
    this.handle = handle
    if (this.isGone) return handle.closed()
    this.resume()
  }

  deliver(items: ReadonlyArray<Item>): boolean {
    this.watcher.delivered(items)
    this.end.send(`{"type":"results","items":[${items.map(({ value }) => decoder.decode(value)).join(",")}]}`)
    this.isBehind = this.end.unsent_bytes > this.limits.socket_buffer_bytes
    return !this.isBehind
  }

  notify(notice: Notice): void {
    if (notice._tag === "Welcome") this.watcher.welcomed(notice.epoch, notice.after)
    if (notice._tag === "Status") this.watcher.status(notice.status)
    if (notice._tag === "Lost") this.watcher.lost({ after: notice.after, upTo: notice.upTo })
    this.write(this.frameOf(notice))
  }

  close({ code, reason }: CloseReason): void {
    this.end.close(code, reason)
    this.gone()
  }

  /** There are no locks in here, and no shares. */
  limit(): void {}

  pause(): void {
    this.pauses++
  }

  resume(): void {
    this.pauses--
    this.readOn()
  }

  private readOn(): void {
    while (this.pauses === 0 && !this.isGone) {
      const text = this.unread.shift()
      if (text === undefined) return
      this.receive(text)
    }
  }

  private receive(text: string): void {
    const frame = Result.getOrThrowWith(Frames.parseClientFrame(text), (bad) => new Error(bad.message))
    if (frame.type === "ping") return this.write({ type: "pong" })
    if (frame.type === "event") {
      if (frame.id === undefined) throw new Error("the SDK names its events")
      return this.handle?.event(EventId.make(frame.id), frame.name, () => encoder.encode(text), false)
    }
    if (frame.type === "auth") throw new Error("there are no locks in a simulation")
    if (frame.type === "cancel") return this.handle?.cancel(frame.id)
    // Before: what the ack makes room for is delivered in the same turn.
    this.watcher.acknowledged(frame.seq)
    this.handle?.ack(frame.seq)
  }

  private drained(): void {
    if (!this.isBehind || this.end.unsent_bytes > this.limits.socket_buffer_bytes / 2) return
    this.isBehind = false
    this.handle?.drained()
  }

  private gone(): void {
    if (this.isGone) return
    this.isGone = true
    this.watcher.closed()
    this.handle?.closed()
  }

  private write(frame: Frames.ServerFrame): void {
    this.end.send(JSON.stringify(frame))
  }

  private frameOf(notice: Notice): Frames.ServerFrame {
    switch (notice._tag) {
      case "Welcome": {
        const { dedupe_records, events_per_second, frame_bytes, idle_timeout_ms, session } = this.limits
        const { window_results } = session
        const limits = { frame_bytes, window_results, events_per_second, idle_timeout_ms, dedupe_records }
        const { after, epoch, log, status } = notice
        return { type: "welcome", clientId: this.clientId, epoch, status, log, after, limits }
      }
      case "Accepted":
        return { type: "accepted", ids: notice.ids }
      case "Cancelling":
        return { type: "cancelling", ids: notice.ids }
      case "Status":
        return { type: "status", status: notice.status }
      case "Lost":
        return { type: "lost", after: notice.after, ...(notice.upTo === undefined ? {} : { upTo: notice.upTo }) }
      case "Error":
        return { type: "error", code: notice.code, message: notice.message }
      case "Refused":
      case "Expiring":
      case "Authenticated":
        throw new Error("there are no locks in a simulation")
    }
  }
}

/** What a connection asks for in its address. */
export const connectRequestOf = (url: string): Omit<ConnectRequest, "transport"> & { readonly isDirect: boolean } => {
  const { pathname, searchParams: query } = new URL(url)
  const after = query.get("after")
  const clientId = ClientId.make(query.get("clientId") ?? "")
  return {
    isDirect: pathname === "/approach2/events",
    clientId,
    principal: anyone(clientId),
    after: after === null ? start : Cursor.make(Number(after)),
    log: query.get("log") ?? undefined,
  }
}
