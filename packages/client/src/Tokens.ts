/**
 * When the client asks the application for a token, which shows the gateway who it is.
 *
 * ```
 *   a connection begins ──▶ the last token, if it was given within `token_reuse_ms`, else a new one
 *   `expiring` ───────────▶ new ones, until the gateway takes one ──▶ `auth`, on the connection that goes on
 *   closed with 4006 ─────▶ the last one is forgotten
 *   closed with 4502 ─────▶ the same, once: where the next one is refused too, the client stops
 * ```
 *
 * 1. One `token()` is under way at a time, whoever needs it. It is given up after `token_timeout_ms`.
 * 2. One that fails is asked again: as a connection that fails is, with its back-off, or while the connection lasts.
 * 3. A token is sent to the gateway alone. It stands in no address, no log line and no error.
 */
import { closeCodes } from "@nimbus/domain/protocol"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { ConnectionClosed } from "./Errors.ts"
import type { ClientLimits } from "./Limits.ts"

/** Gives a token, at best a fresh one. It may take a while, and may fail: then it is asked again later. */
export type TokenSource = () => string | Promise<string>

export interface Tokens {
  /** For a connection that begins. `undefined`: the client has no tokens. */
  readonly connecting: Effect.Effect<string | undefined, ConnectionClosed>
  /** The gateway has let the client in. */
  welcomed(): void
  /** The token that the gateway has ends in so many seconds. */
  expiring(seconds: number): void
  /** It has taken another one. */
  renewed(): void
  /** Whether another token may help where a connection has ended so. */
  mayHelp(close: number): boolean
  /** While a connection lasts: sends another token whenever the last one is about to end. */
  renewals(send: (token: string) => void): Effect.Effect<never>
}

/** The client has no tokens. */
export const none: Tokens = {
  connecting: Effect.succeed(undefined),
  welcomed: () => {},
  expiring: () => {},
  renewed: () => {},
  mayHelp: () => false,
  renewals: () => Effect.never,
}

type TokenLimits = Pick<ClientLimits, "token_timeout_ms" | "token_reuse_ms">

export const make = (source: TokenSource, { token_reuse_ms, token_timeout_ms }: TokenLimits): Tokens => {
  const due = Latch.makeUnsafe(false)
  const taken = Latch.makeUnsafe(false)
  let ends_s = 0
  let last: { readonly token: string; readonly at_ms: number } | undefined
  let isDoubted = false
  let flight: Promise<string> | undefined

  const land = (mine: Promise<string>) => () => {
    if (flight === mine) flight = undefined
  }
  const begin = (): Promise<string> => {
    const mine = new Promise<string>((resolve) => resolve(source())).then(checked)
    flight = mine
    mine.then(land(mine), land(mine))
    return mine
  }
  const ask: Effect.Effect<string, ConnectionClosed> = Effect.suspend(() => {
    const mine = flight ?? begin()
    return Effect.tryPromise({ try: () => mine, catch: noToken }).pipe(
      Effect.timeoutOrElse({
        duration: token_timeout_ms,
        orElse: () => Effect.suspend(() => (land(mine)(), Effect.fail(noToken(`none within ${token_timeout_ms} ms`)))),
      }),
      Effect.tap((token) => Effect.map(Clock.currentTimeMillis, (at_ms) => void (last = { token, at_ms }))),
    )
  })
  const renew = Effect.fnUntraced(function* (send: (token: string) => void) {
    const before = last?.token
    taken.closeUnsafe()
    for (let wait_ms = ends_s * 500; ; wait_ms /= 2) {
      const next = yield* Effect.catch(ask, (error) => Effect.as(Effect.logWarning(error.reason), undefined))
      // A provider that keeps tokens may give the same one until it is over.
      if (next !== undefined && next !== before) send(next)
      const isTaken = yield* Effect.timeoutOption(taken.await, Math.max(wait_ms, least_wait_ms))
      if (isTaken._tag === "Some") return
    }
  })
  return {
    connecting: Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
      due.closeUnsafe()
      return last !== undefined && now_ms - last.at_ms < token_reuse_ms ? Effect.succeed(last.token) : ask
    }),
    welcomed: () => {
      isDoubted = false
    },
    expiring: (seconds) => {
      ends_s = seconds
      due.openUnsafe()
    },
    renewed: () => {
      due.closeUnsafe()
      taken.openUnsafe()
    },
    mayHelp: (close) => {
      if (close !== closeCodes.tokenExpired.code && close !== closeCodes.unauthenticated.code) return false
      last = undefined
      const isFirst = !isDoubted
      if (close === closeCodes.unauthenticated.code) isDoubted = true
      return isFirst
    },
    renewals: (send) =>
      Effect.forever(
        Effect.andThen(
          due.await,
          Effect.suspend(() => (due.closeUnsafe(), renew(send))),
        ),
      ),
  }
}

/** Between two questions for another token. */
const least_wait_ms = 1_000

const checked = (token: unknown): string => {
  if (typeof token === "string" && token !== "") return token
  throw new TypeError("it is no text")
}

/** The client comes back for it, as after a connection that was not made. */
const noToken = (cause: unknown): ConnectionClosed =>
  new ConnectionClosed({ close: 1006, reason: `no token: ${cause instanceof Error ? cause.message : String(cause)}` })
