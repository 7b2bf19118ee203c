/**
 * The keys of one issuer, as they are remembered: whose signature may be checked by which of them, and when the issuer is
 * asked again.
 *
 * ```
 *   a token's kid ──▶ known ─────────────────────────────────▶ its key, while the issuer was reached within `keys_stale_ms`
 *                └──▶ unknown ──▶ asked long enough ago ─────▶ ask once more, for all who wait
 *                            ├──▶ just seen to be absent ────▶ no such key
 *                            └──▶ neither is known ──────────▶ come back later
 * ```
 *
 * 1. A key belongs to its issuer: the same kid of another issuer is another key.
 * 2. Unknown kids cause one question in `unknown_key_pause_ms`, however many come.
 * 3. An answer without keys is none: a fault of the provider must not end all sessions.
 *
 * Pure: the time comes in, and what to do comes out.
 */
import type { JWK } from "jose"
import type { TokenLimits } from "../Limits.ts"

/** A key that checks signatures. */
export interface VerifyKey {
  /** Its thumbprint: of two keys with one kid, which one it is. */
  readonly id: string
  readonly kid: string | undefined
  readonly algorithms: ReadonlyArray<string>
  readonly key: JWK | Uint8Array
}

/** Of a token's header what chooses its key. */
export interface KeyChoice {
  readonly kid: string | undefined
  readonly alg: string
}

export type Found =
  | { readonly _tag: "Keys"; readonly keys: ReadonlyArray<VerifyKey> }
  /** The issuer is to be asked, and then the book again. */
  | { readonly _tag: "Ask" }
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Later" }

export class KeyBook {
  readonly #limits: TokenLimits
  #keys: ReadonlyArray<VerifyKey> = []
  readonly #ids = new Set<string>()
  #fetched_ms = Number.NEGATIVE_INFINITY
  #asked_ms = Number.NEGATIVE_INFINITY
  #isAsking = false
  readonly #absent = new Set<string>()

  constructor(limits: TokenLimits) {
    this.#limits = limits
  }

  /** A question is under way. Its answer may be older than a token that comes now. */
  get isAsking(): boolean {
    return this.#isAsking
  }

  /** Whose key checks this token. `isAnswered`: the issuer was asked since it came. */
  find({ alg, kid }: KeyChoice, now_ms: number, isAnswered: boolean): Found {
    const mayAsk = !isAnswered && this.mayAsk(now_ms)
    if (!this.isFresh(now_ms)) return { _tag: mayAsk ? "Ask" : "Later" }
    const keys = this.#keys.filter(
      (key) => key.algorithms.includes(alg) && (kid === undefined || key.kid === undefined || key.kid === kid),
    )
    if (keys.length > 0) return { _tag: "Keys", keys }
    if (mayAsk) return { _tag: "Ask" }
    const name = JSON.stringify([alg, kid])
    if (isAnswered && this.#fetched_ms >= this.#asked_ms) this.#remember(name)
    return { _tag: this.#absent.has(name) ? "Absent" : "Later" }
  }

  /** Whether a token may wait for an answer: to the question that is under way, or to another one. */
  mayAsk(now_ms: number): boolean {
    return this.#isAsking || now_ms - this.#asked_ms >= this.#limits.unknown_key_pause_ms
  }

  /** Whether what is known may let somebody in: the issuer was reached not long ago. */
  isFresh(now_ms: number): boolean {
    return now_ms - this.#fetched_ms <= this.#limits.keys_stale_ms
  }

  /** Whether sessions on this key go on. Where nothing is known of the keys yet, they do. */
  has(id: string): boolean {
    return this.#ids.size === 0 || this.#ids.has(id)
  }

  asked(now_ms: number): void {
    this.#isAsking = true
    this.#asked_ms = now_ms
  }

  /** What the issuer has answered. */
  fetched(keys: ReadonlyArray<VerifyKey>, now_ms: number): void {
    this.#isAsking = false
    this.#keys = keys
    this.#ids.clear()
    for (const { id } of keys) this.#ids.add(id)
    this.#fetched_ms = now_ms
  }

  /** It did not answer: what it has now is not known. */
  failed(): void {
    this.#isAsking = false
    this.#absent.clear()
  }

  #remember(name: string): void {
    if (this.#absent.size >= this.#limits.absent_keys) this.#absent.clear()
    this.#absent.add(name)
  }
}
