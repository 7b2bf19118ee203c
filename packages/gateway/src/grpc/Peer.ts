/**
 * One HTTP/2 connection, with any number of calls on it: whether the other side is alive, and what it has taken.
 *
 * A PING is answered by the peer's transport, in the order in which it reads the connection. So its answer says that
 * what was written to the socket before it has arrived, for all calls at once; one is under way at a time. What still
 * waits for a stream's window was not written yet: a call asks only for what was.
 */
import type { ServerHttp2Session } from "node:http2"
import type { Cursor } from "@nimbus/domain"

/** A call that wants to know what has arrived. */
export interface Asking {
  /** Everything up to here was written to the socket. */
  readonly written: Cursor
  /** Everything up to here has arrived. */
  arrived(upTo: Cursor): void
}

export class Peer {
  private readonly session: ServerHttp2Session
  private readonly now: () => number
  private heard_ms: number
  private isPinging = false
  /** For the next PING. */
  private readonly asking = new Set<Asking>()

  constructor(session: ServerHttp2Session, now: () => number) {
    this.session = session
    this.now = now
    this.heard_ms = now()
  }

  /** It has sent something. */
  heard(now_ms: number): void {
    this.heard_ms = now_ms
  }

  /** Tells the call once what it has written by now has arrived. */
  ask(call: Asking): void {
    this.asking.add(call)
    if (!this.isPinging) this.ping()
  }

  forget(call: Asking): void {
    this.asking.delete(call)
  }

  /** Called now and then: pings a silent peer, and cuts off one that stays silent. Answers whether it did. */
  check(now_ms: number, idle_timeout_ms: number): boolean {
    const silent_ms = now_ms - this.heard_ms
    if (silent_ms >= idle_timeout_ms) {
      this.session.destroy()
      return true
    }
    if (silent_ms >= idle_timeout_ms / 2 && !this.isPinging) this.ping()
    return false
  }

  /** Lets the calls that it has end, and takes no others. */
  close(): void {
    this.session.close()
  }

  destroy(): void {
    this.session.destroy()
  }

  private ping(): void {
    if (this.session.destroyed) return
    const asked = Array.from(this.asking, (call) => ({ call, upTo: call.written }))
    this.asking.clear()
    this.isPinging = true
    this.session.ping((error) => {
      this.isPinging = false
      // The connection is gone, and its calls hear of it by themselves.
      if (error !== null) return
      this.heard_ms = this.now()
      for (const { call, upTo } of asked) call.arrived(upTo)
      if (this.asking.size > 0) this.ping()
    })
  }
}
