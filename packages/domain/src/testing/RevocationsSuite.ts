/** The conformance suite of `Revocations`. Every test uses its own subjects. */
import { assert } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Grants } from "../access/Capability.ts"
import type { Principal } from "../access/Principal.ts"
import { ClientId } from "../protocol/Ids.ts"
import { type Revocation, Revocations } from "../services/Revocations.ts"
import { conformance } from "./Conformance.ts"

/** The contract of `Revocations` as tests: call it in a test file with the layer to be tested. */
export const revocationsSuite = <E>(name: string, revocations: Layer.Layer<Revocations, E>) =>
  conformance(`Revocations: ${name}`, revocations, (it) => {
    it.effect("of a revoked token nothing counts but it", () =>
      Effect.gen(function* () {
        const { of, order } = yield* Revocations
        const [subject, tokenId] = [unique("s"), unique("t")]
        const revocation = { _tag: "Token", issuer, tokenId, expires_s: nowS() + 600 } as const
        assert.isTrue(yield* order(revocation))
        assert.isFalse(yield* order(revocation))
        assert.strictEqual(of(principalOf(subject, { tokenId }))?._tag, "Token")
        assert.isUndefined(of(principalOf(subject, { tokenId: unique("t") })))
        assert.isUndefined(of(principalOf(subject)))
        assert.isUndefined(of({ ...principalOf(subject, { tokenId }), issuer: "https://other.test" }))
      }),
    )

    it.effect("of a token that has ended no order is kept", () =>
      Effect.gen(function* () {
        const { list, order } = yield* Revocations
        const tokenId = unique("t")
        assert.isFalse(yield* order({ _tag: "Token", issuer, tokenId, expires_s: nowS() - 120 }))
        assert.isFalse(list().some((order) => order._tag === "Token" && order.tokenId === tokenId))
      }),
    )

    it.effect(
      "of a subject's tokens those count that were issued after the moment, and an earlier moment changes nothing",
      () =>
        Effect.gen(function* () {
          const { of, order } = yield* Revocations
          const subject = unique("s")
          const upTo = (issued_s: number) => order({ _tag: "Subject", issuer, subject, issued_s })
          const now_s = nowS()
          assert.isTrue(yield* upTo(now_s - 100))
          assert.isFalse(yield* upTo(now_s - 200))
          assert.strictEqual(of(principalOf(subject, { issued_s: now_s - 100 }))?._tag, "Subject")
          assert.isUndefined(of(principalOf(subject, { issued_s: now_s - 99 })))
          assert.isTrue(yield* upTo(now_s))
          assert.strictEqual(of(principalOf(subject, { issued_s: now_s - 99 }))?._tag, "Subject")
          // Of a token that does not say when it was issued, nobody can know better.
          assert.strictEqual(of(principalOf(subject))?._tag, "Subject")
          assert.isUndefined(of(principalOf(unique("s"), { issued_s: 1 })))
        }),
    )

    it.effect("a blocked subject is blocked until it is unblocked, as often as that happens", () =>
      Effect.gen(function* () {
        const { list, of, order } = yield* Revocations
        const subject = unique("s")
        const [block, unblock] = [
          { _tag: "Block", issuer, subject } as const,
          { _tag: "Unblock", issuer, subject } as const,
        ]
        assert.isFalse(yield* order(unblock))
        for (let times = 0; times < 3; times++) {
          assert.isTrue(yield* order(block))
          assert.isFalse(yield* order(block))
          assert.strictEqual(of(principalOf(subject, { issued_s: nowS() + 10 }))?._tag, "Block")
          assert.strictEqual(list().filter((one) => "subject" in one && one.subject === subject).length, 1)
          assert.isTrue(yield* order(unblock))
          assert.isFalse(yield* order(unblock))
          assert.isUndefined(of(principalOf(subject)))
          assert.isFalse(list().some((one) => "subject" in one && one.subject === subject))
        }
      }),
    )

    it.effect("listeners hear what is news, once it is in force, until their scope closes", () =>
      Effect.gen(function* () {
        const { of, onOrder, order } = yield* Revocations
        const subject = unique("s")
        const heard: Array<readonly [Revocation["_tag"], boolean]> = []
        const block = { _tag: "Block", issuer, subject } as const
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* onOrder((revocation) => {
              if (revocation._tag === "Token" || revocation.subject !== subject) return
              heard.push([revocation._tag, of(principalOf(subject)) !== undefined])
            })
            yield* order(block)
            yield* order(block)
            yield* order({ ...block, _tag: "Unblock" })
          }),
        )
        yield* order(block)
        assert.deepStrictEqual(heard, [
          ["Block", true],
          ["Unblock", false],
        ])
      }),
    )

    it.effect("a subject is its issuer's, whatever stands in it", () =>
      Effect.gen(function* () {
        const { of, order } = yield* Revocations
        const subject = `${unique("s")}","x\n\u{1F511}`
        yield* order({ _tag: "Block", issuer, subject })
        assert.strictEqual(of(principalOf(subject))?._tag, "Block")
        assert.isUndefined(of({ ...principalOf(subject), issuer: "https://other.test" }))
        assert.isUndefined(of(principalOf(subject.slice(0, -1))))
        // With or without a slash at its end it is the same issuer, as where tokens are checked.
        assert.strictEqual(of({ ...principalOf(subject), issuer: `${issuer}/` })?._tag, "Block")
      }),
    )
  })

const issuer = "https://issuer.test"
const nowS = () => Math.floor(Date.now() / 1000)
const unique = (kind: string) => `${kind}-${crypto.randomUUID()}`

const principalOf = (subject: string, said: Partial<Pick<Principal, "issued_s" | "tokenId">> = {}): Principal => ({
  issuer,
  subject,
  clientId: ClientId.make("c"),
  grants: Grants.none,
  claims: {},
  expires_s: undefined,
  issued_s: undefined,
  tokenId: undefined,
  keyId: undefined,
  ...said,
})
