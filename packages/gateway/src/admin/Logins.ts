/**
 * How long an address is asked for no token, after those that it has shown were wrong.
 *
 * ```
 *   wrong ── up to `login_failures` ──▶ nothing
 *   wrong ── each further one ────────▶ no token of it is looked at for a while, which doubles: 1 s, 2 s, … 60 s
 *   quiet for `login_forget_ms` ──────▶ as one that was never there
 * ```
 *
 * 1. While it waits, a right token is refused as a wrong one is, so that the answers tell nothing. A token that has been
 *    right from this address before is let in: whoever guesses beside an operator, behind one address, does not lock it out.
 * 2. A token that is right takes no failures back: who has one could guess another with it.
 * 3. Remembered are `login_addresses` that fail, and `login_known` tokens by their digests. Beyond, those that have shown
 *    nothing for the longest time are forgotten.
 */
import type { AdminLimits } from "../Limits.ts"

export type LoginLimits = Pick<
  AdminLimits,
  "login_failures" | "login_wait_ms" | "login_longest_wait_ms" | "login_forget_ms" | "login_addresses" | "login_known"
>

interface Failures {
  readonly count: number
  readonly last_ms: number
  readonly until_ms: number
}

export class Logins {
  readonly #limits: LoginLimits
  /** Those that failed least lately first. */
  readonly #failures = new Map<string, Failures>()
  /** Those that were shown least lately first. */
  readonly #known = new Map<string, number>()

  constructor(limits: LoginLimits) {
    this.#limits = limits
  }

  /** Addresses and tokens that are remembered. */
  get sizes(): { readonly addresses: number; readonly known: number } {
    return { addresses: this.#failures.size, known: this.#known.size }
  }

  /** How long until a token of it is looked at; 0: now. */
  wait_ms(address: string, digest: string, now_ms: number): number {
    const failures = this.#failuresOf(address, now_ms)
    if (failures === undefined || failures.until_ms <= now_ms || this.#isKnown(address, digest, now_ms)) return 0
    return failures.until_ms - now_ms
  }

  /** A token of it was wrong. Returns how many were in a row, and how long it waits from now. */
  failed(address: string, now_ms: number): { readonly count: number; readonly wait_ms: number } {
    const { login_addresses, login_failures, login_longest_wait_ms, login_wait_ms } = this.#limits
    const count = (this.#failuresOf(address, now_ms)?.count ?? 0) + 1
    const beyond = count - login_failures
    const wait_ms = beyond <= 0 ? 0 : Math.min(login_longest_wait_ms, login_wait_ms * 2 ** Math.min(beyond - 1, 30))
    keep(this.#failures, address, { count, last_ms: now_ms, until_ms: now_ms + wait_ms }, login_addresses)
    return { count, wait_ms }
  }

  /** A token of it was right. Returns whether that is news. */
  succeeded(address: string, digest: string, now_ms: number): boolean {
    const isNews = !this.#isKnown(address, digest, now_ms)
    keep(this.#known, keyOf(address, digest), now_ms, this.#limits.login_known)
    return isNews
  }

  #failuresOf(address: string, now_ms: number): Failures | undefined {
    const failures = this.#failures.get(address)
    return failures === undefined || this.#isOver(failures.last_ms, now_ms) ? undefined : failures
  }

  #isKnown(address: string, digest: string, now_ms: number): boolean {
    const last_ms = this.#known.get(keyOf(address, digest))
    return last_ms !== undefined && !this.#isOver(last_ms, now_ms)
  }

  /** What lies ahead was written under a clock that has gone back since. */
  #isOver(last_ms: number, now_ms: number): boolean {
    return last_ms > now_ms || now_ms - last_ms >= this.#limits.login_forget_ms
  }
}

const keyOf = (address: string, digest: string): string => `${address} ${digest}`

/** As the last one, and without the first one if there is one too many. */
const keep = <A>(map: Map<string, A>, key: string, value: A, most: number): void => {
  map.delete(key)
  map.set(key, value)
  const [first] = map.keys()
  if (map.size > most && first !== undefined) map.delete(first)
}
