/**
 * One HTTP/2 connection, with any number of calls on it: whether the other side is alive, and what it has taken.
 *
 * A PING is answered by the peer's transport, in the order in which it reads the connection. So its answer says that
 * what was written to the socket before it has arrived, for all calls at once; one is under way at a time. What still
 * waits for a stream's window was not written yet: a call asks only for what was.
 */
import type { ServerHttp2Session } from "node:http2"
import type { PeerCertificate } from "@nimbus/domain/services"

/** Until a peer's settings say another. */
const defaultWindow_bytes = 65_535

/** What a call has asked by a PING. */
export interface Question {
  answered(): void
  /** The connection is gone. */
  unanswered(): void
}

/** A call that wants to know what has arrived. */
export interface Asking {
  /** A PING goes out now. */
  ask(): Question
}

export class Peer {
  private readonly session: ServerHttp2Session
  private readonly now: () => number
  private heard_ms: number
  private isPinging = false
  /** For the next PING. */
  private readonly asking = new Set<Asking>()
  private largest_bytes = defaultWindow_bytes
  /** Open on it now. */
  calls = 0

  /** What it has shown, where there is TLS. */
  readonly certificate: PeerCertificate | undefined

  constructor(session: ServerHttp2Session, now: () => number, certificate?: PeerCertificate) {
    this.session = session
    this.certificate = certificate
    this.now = now
    this.heard_ms = now()
    // Libraries widen it while they measure the connection; HTTP/2 changes it for the streams that are open as well.
    session.on("remoteSettings", ({ initialWindowSize = 0 }) => {
      this.largest_bytes = Math.max(this.largest_bytes, initialWindowSize)
    })
  }

  /** The largest window that the peer's settings have ever given a stream. */
  get window_bytes(): number {
    return this.largest_bytes
  }

  /** It has sent something. */
  heard(now_ms: number): void {
    this.heard_ms = now_ms
  }

  /** Asks the call for its question with the next PING. */
  ask(call: Asking): void {
    this.asking.add(call)
    if (!this.isPinging) this.ping()
  }

  forget(call: Asking): void {
    this.asking.delete(call)
  }

  /** Called periodically: pings a silent peer, and cuts off one that stays silent. Returns whether it did. */
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
    const questions = Array.from(this.asking, (call) => call.ask())
    this.asking.clear()
    if (this.session.destroyed) return questions.forEach((question) => question.unanswered())
    this.isPinging = true
    this.session.ping((error) => {
      this.isPinging = false
      if (error === null) {
        this.heard_ms = this.now()
        for (const question of questions) question.answered()
      } else for (const question of questions) question.unanswered()
      if (this.asking.size > 0) this.ping()
    })
  }
}
