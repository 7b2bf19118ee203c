/**
 * Tokens that were found to be right, so that one that comes again, with each request of an HTTP client, costs no signature.
 *
 * What is remembered is whose a token is, by its digest. Whether that still holds is asked each time: its end, its key, and
 * whether its issuer's keys and the rules are those by which it was found right. Revocations are looked at by others, each
 * time too.
 *
 * Bounded: beyond `seen_tokens` the oldest one is forgotten.
 */
import { hash } from "node:crypto"
import type { Principal } from "@nimbus/domain/access"
import type { RuleFile } from "../AccessRules.ts"
import type { KnownIssuer } from "./Verify.ts"

interface Seen {
  readonly principal: Principal
  readonly issuer: KnownIssuer
  /** By which its capabilities were found. */
  readonly rules: RuleFile
}

export class SeenTokens {
  readonly #byDigest = new Map<string, Seen>()
  readonly #most: number
  readonly #skew_s: number

  constructor({ seen_tokens, skew_s }: { readonly seen_tokens: number; readonly skew_s: number }) {
    this.#most = seen_tokens
    this.#skew_s = skew_s
  }

  /** Whose it is, where that is known and holds. */
  find(token: string, rules: RuleFile, now_ms: number): Principal | undefined {
    const digest = digestOf(token)
    const seen = this.#byDigest.get(digest)
    if (seen === undefined) return undefined
    if (this.#holds(seen, rules, now_ms)) return seen.principal
    this.#byDigest.delete(digest)
    return undefined
  }

  remember(token: string, seen: Seen): void {
    if (this.#most < 1) return
    const digest = digestOf(token)
    if (this.#byDigest.size >= this.#most && !this.#byDigest.has(digest)) {
      const [oldest = digest] = this.#byDigest.keys()
      this.#byDigest.delete(oldest)
    }
    this.#byDigest.set(digest, seen)
  }

  #holds({ issuer, principal: { expires_s = 0, keyId = "" }, rules: before }: Seen, rules: RuleFile, now_ms: number) {
    return (
      before === rules &&
      expires_s > Math.floor(now_ms / 1000) - this.#skew_s &&
      issuer.keys.isFresh() &&
      issuer.keys.has(keyId)
    )
  }
}

const digestOf = (token: string): string => hash("sha256", token, "base64url")
