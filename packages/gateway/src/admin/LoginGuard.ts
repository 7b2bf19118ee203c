/** Stands before whoever shows a token: `Logins` with a clock, and a line in the log for those who guess. */
import type { Principal } from "@nimbus/domain/access"
import { type LoginUnavailable, TooManyLogins, type Unauthorized } from "@nimbus/domain/admin"
import { Clock, Effect } from "effect"
import { adminLimits } from "../Limits.ts"
import * as Authorization from "./Authorization.ts"
import { Logins } from "./Logins.ts"

/** Who it is could not be told. */
export type NotKnown = Unauthorized | TooManyLogins | LoginUnavailable

/** Between two lines of the log. */
const line_ms = 10_000

/** Whoever guesses tokens waits ever longer, and is named in the log. A request without a token is no guess. */
export const make = Effect.gen(function* () {
  const logins = new Logins(adminLimits)
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  let lastLine_ms = Number.NEGATIVE_INFINITY

  const tell = (address: string) =>
    Effect.suspend(() => {
      const { count, wait_ms } = logins.failed(address, now())
      if (wait_ms === 0 || now() - lastLine_ms < line_ms) return Effect.void
      lastLine_ms = now()
      return Effect.annotateLogs(
        Effect.logWarning(
          `${address} has shown ${count} wrong admin tokens; none of it is looked at for ${wait_ms} ms`,
        ),
        { code: "TOO_MANY_LOGINS" },
      )
    })

  return <E extends { readonly code: string }>(token: string, address: string, whoIs: Effect.Effect<Principal, E>) =>
    Effect.gen(function* () {
      if (token === "") return { principal: yield* whoIs, isNews: false }
      const digest = Authorization.digestOf(token).toString("base64url")
      const retry_ms = Math.ceil(logins.wait_ms(address, digest, now()))
      if (retry_ms > 0) return yield* new TooManyLogins({ code: "TOO_MANY_LOGINS", message: sayWait, retry_ms })
      const principal = yield* Effect.tapError(whoIs, (error) => (isGuess(error) ? tell(address) : Effect.void))
      return { principal, isNews: logins.succeeded(address, digest, now()) }
    })
})

const sayWait = "too many tokens from this address were wrong; come back later"

/** One that was right once, or can't be looked at, is none. */
const isGuess = ({ code }: { readonly code: string }): boolean => code === "UNAUTHORIZED" || code === "TOKEN_INVALID"
