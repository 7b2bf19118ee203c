/**
 * Who a socket is where there are locks, and what it may do, by the token that counts now. Without locks no socket has
 * one.
 *
 * ```
 *   auth.token ─▶ Access.connect ─▶ room:join ─▶ Badge ──▶ room:history, room:publish, broadcast
 *                                                 │  ▲
 *                              expiring ◀── a minute before its end
 *                                                    └── auth, with a new token of the same subject
 * ```
 *
 * 1. What a socket calls itself in its messages is its subject's client id, and nothing that it says.
 * 2. Names and ids that a client chooses are its subject's own: no other subject's places or messages are meant by them.
 * 3. At its end a token takes the connection with it. A client of Socket.IO then comes back on its own, unless it was
 *    revoked.
 */
import { capabilityOf, type Principal, type TargetedCapability } from "@nimbus/domain/access"
import { closeCodes, type CloseReason, start } from "@nimbus/domain/protocol"
import { Effect } from "effect"
import type { Access, From, Need, NotAdmitted, Shown } from "../access/Access.ts"
import type { Held, Lease } from "../access/Leases.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import type { SubjectRefused } from "../Errors.ts"
import { messageOf, type Share, type Subjects } from "../subjects/Subjects.ts"
import type { ChatSocket, Refusal } from "./ChatEvents.ts"
import type { ConnectRequest } from "./ConnectRequest.ts"

/** How a denial is told to a client. */
export const refusalOf = (denied: NotAdmitted | SubjectRefused): Refusal => ({
  code: denied.code,
  message: denied.message,
  ...(denied._tag === "Forbidden" && { capability: denied.capability }),
  ...(denied._tag === "SubjectRefused" && { retry_ms: denied.retry_ms }),
})

/** As the error of a connection: with the code in its text, for clients that show nothing else. */
export const connectErrorOf = (refusal: Refusal): Error =>
  Object.assign(new Error(`${refusal.code}: ${refusal.message}`), { data: refusal })

/** Who is let in, and the share of its subject, which is its until its connection closes. */
export interface Visit {
  readonly principal: Principal
  readonly share: Share
  readonly from: From
}

/** What a socket is to be let in as, if it may be in its room, and its subject may have one more. */
export const admit = Effect.fnUntraced(function* (
  { access, subjects }: { readonly access: Access["Service"]; readonly subjects: Subjects["Service"] },
  { conn }: Pick<ChatSocket, "conn">,
  { room }: Pick<ConnectRequest, "room">,
  shown: Shown,
  from: From,
): Effect.fn.Return<Visit, NotAdmitted | SubjectRefused> {
  // What it acknowledges are places in rooms, not mail: that it may have them is `room:history`.
  const { principal } = yield* access.connect(
    { clientId: undefined, after: start, autoAck: false, reads: false, journey: false },
    shown,
    from,
  )
  yield* access.checkOf(principal, from, "room:join", room)
  const share = yield* subjects.connect(principal, principal.clientId, from, { room })
  conn.once("close", share.close)
  if (conn.readyState !== "open") share.close()
  return { principal, share, from }
})

export interface BadgeOptions extends Visit {
  readonly access: Access["Service"]
  readonly socket: ChatSocket
  readonly room: ConnectRequest["room"]
  readonly now_s: () => number
  readonly counts: Counts
  readonly limits: Pick<GatewayLimits, "failed_renewals">
}

export class Badge {
  readonly #options: BadgeOptions
  readonly #lease: Lease
  /** One token at a time is looked at. */
  #isRenewing = false
  /** Tokens in a row that have counted for nothing. */
  #failures = 0
  /** What it was let in for counts no more. */
  hasEnded = false

  constructor(options: BadgeOptions) {
    this.#options = options
    const held: Held = {
      expiring: (expires_s) => void options.socket.emit("expiring", { seconds: this.#secondsUntil(expires_s) }),
      ended: (reason) => this.#end(reason),
    }
    this.#lease = options.access.hold(options.principal, held)
    options.socket.conn.on("packet", this.#count)
  }

  /** What its connection brings is its subject's, of whichever kind it is. */
  readonly #count = ({ data }: { readonly data?: unknown }): void => {
    const bytes = typeof data === "string" || data instanceof Uint8Array ? data.length : 0
    this.#options.share.frame(bytes, 1000 * this.#options.now_s())
  }

  /** What the answer is while its subject sends more than it may. */
  deniesMore(): Refusal | undefined {
    const tooMuch = this.#options.share.owed(1000 * this.#options.now_s())
    return tooMuch && { ...tooMuch, message: messageOf(tooMuch) }
  }

  /** What its messages have for a sender. */
  get sender(): string {
    return this.#lease.principal.clientId
  }

  /** Within this subject a client's names are its own. */
  get owner(): ReadonlyArray<string> {
    const { issuer, subject } = this.#lease.principal
    return [issuer, subject]
  }

  /** What the answer is to something that it may not do in its room. */
  deniesOf(capability: TargetedCapability): Refusal | undefined {
    const { access, from, room } = this.#options
    const { principal } = this.#lease
    if (principal.grants.mayOf(capability, room)) return undefined
    return refusalOf(access.deny(principal, capabilityOf(capability, room), from))
  }

  deniesBroadcast(): Refusal | undefined {
    const { access, from } = this.#options
    const { principal } = this.#lease
    return principal.grants.may("broadcast") ? undefined : refusalOf(access.deny(principal, "broadcast", from))
  }

  get isRenewing(): boolean {
    return this.#isRenewing
  }

  /** Goes on with this token. Its result: for how many seconds; `undefined`: it does not end. */
  renew(token: string): Effect.Effect<number | undefined, NotAdmitted> {
    const { access, from, principal, room } = this.#options
    const needs: ReadonlyArray<Need> = [
      ["connect", principal.clientId],
      ["room:join", room],
    ]
    this.#isRenewing = true
    return access.renew(this.#lease, { token }, from, needs).pipe(
      Effect.map(() => {
        this.#failures = 0
        const { expires_s } = this.#lease.principal
        return expires_s === undefined ? undefined : this.#secondsUntil(expires_s)
      }),
      Effect.ensuring(Effect.sync(() => (this.#isRenewing = false))),
    )
  }

  /** A token was refused, and its client is told. */
  failed({ _tag }: NotAdmitted): void {
    // It may have nothing to do with the token.
    if (_tag === "AuthUnavailable") return
    if (++this.#failures >= this.#options.limits.failed_renewals) this.#end(closeCodes.unauthenticated)
  }

  /** The socket is gone. */
  release(): void {
    const { share, socket } = this.#options
    this.#lease.release()
    socket.conn.off("packet", this.#count)
    share.close()
  }

  #secondsUntil(expires_s: number): number {
    return Math.max(0, Math.floor(expires_s - this.#options.now_s()))
  }

  #end({ reason, reconnect }: CloseReason): void {
    const { counts, socket } = this.#options
    this.hasEnded = true
    counts.addTo("refused", reason)
    socket.emit("refused", { code: reason, message: sentences.get(reason) ?? reason })
    // Closed from below, a client comes back on its own; one that the server disconnects does not.
    if (reconnect) socket.conn.close()
    else socket.disconnect(true)
  }
}

const sentences: ReadonlyMap<string, string> = new Map([
  ["UNAUTHENTICATED", "too many tokens in a row have counted for nothing"],
  ["TOKEN_EXPIRED", "the token has ended: come back with a new one"],
  ["TOKEN_REVOKED", "the token, or its subject, was revoked, or its issuer has removed the key"],
])
