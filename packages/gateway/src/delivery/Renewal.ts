/**
 * How a session goes on with another token, and how it ends with its last one:
 *
 * | what happens | what its client is told |
 * | --- | --- |
 * | what it has shown ends within a minute | `Expiring` |
 * | another token of the same subject | `Authenticated`: it counts from here on |
 * | one that counts for nothing, or may less than its session does | `Error`: the last one counts on |
 * | `failed_renewals` of these in a row | `Error`, and the session ends: `UNAUTHENTICATED` |
 * | the last one ends, or is revoked | `Error`, and the session ends: `TOKEN_EXPIRED`, `TOKEN_REVOKED` |
 *
 * One token is looked at at a time.
 */
import { closeCodes, type CloseReason } from "@nimbus/domain/protocol"
import { Effect } from "effect"
import type { NotAdmitted, Shown } from "../access/Access.ts"
import { sentenceOf, type Standing } from "../access/Standing.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Notice } from "../Transport.ts"

/** The session that it is about. */
interface Renewed {
  tell(notice: Notice): void
  end(reason: CloseReason): void
}

export interface RenewalParts {
  readonly renewals: Pick<GatewayLimits, "failed_renewals">
  readonly now: () => number
  readonly run: (effect: Effect.Effect<void>) => void
  readonly failed: (part: string, defect: unknown) => void
}

export class Renewal {
  readonly #standing: Standing
  readonly #parts: RenewalParts
  readonly #session: Renewed
  #isUnderWay = false
  /** In a row. */
  #failures = 0

  constructor(standing: Standing, parts: RenewalParts, session: Renewed) {
    this.#standing = standing
    this.#parts = parts
    this.#session = session
  }

  /** The session is open. */
  hold(): void {
    this.#standing.hold({
      expiring: (expires_s) => this.#session.tell({ _tag: "Expiring", seconds: this.#secondsUntil(expires_s) }),
      ended: (reason) => {
        this.#tellError(reason.reason, sentenceOf(reason))
        this.#session.end(reason)
      },
    })
  }

  begin(shown: Shown): void {
    if (this.#standing.owner === undefined) return this.#tellError("BAD_FRAME", "there are no locks here")
    if (this.#isUnderWay) return this.#tellError("BAD_FRAME", "another token is being looked at: wait for its answer")
    this.#isUnderWay = true
    const { failed, run } = this.#parts
    run(
      Effect.match(this.#standing.renew(shown), {
        onSuccess: ({ expires_s }) => this.#renewed(expires_s),
        onFailure: (error) => this.#refused(error),
      }).pipe(
        Effect.catchDefect((defect) => Effect.sync(() => failed("renew a session", defect))),
        Effect.ensuring(Effect.sync(() => (this.#isUnderWay = false))),
      ),
    )
  }

  #renewed(expires_s: number | undefined): void {
    this.#failures = 0
    const seconds = expires_s === undefined ? undefined : this.#secondsUntil(expires_s)
    this.#session.tell({ _tag: "Authenticated", seconds })
  }

  #refused({ _tag, code, message }: NotAdmitted): void {
    this.#tellError(code, message)
    // It may have nothing to do with the token.
    if (_tag === "AuthUnavailable") return
    if (++this.#failures >= this.#parts.renewals.failed_renewals) this.#session.end(closeCodes.unauthenticated)
  }

  #tellError(code: string, message: string): void {
    this.#session.tell({ _tag: "Error", code, message })
  }

  #secondsUntil(expires_s: number): number {
    return Math.max(0, Math.ceil(expires_s - this.#parts.now() / 1000))
  }
}
