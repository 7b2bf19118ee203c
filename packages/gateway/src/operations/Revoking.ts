/** What counts no more, and orders about it: on the revocations of this process, where there are locks. */
import { hasToken, type Revocation } from "@nimbus/domain/access"
import {
  AdminUnavailable,
  NotPossible,
  type OperationInput,
  type RevocationsView,
  type Revoked,
} from "@nimbus/domain/admin"
import { revocationLimits } from "@nimbus/domain/limits"
import { Revocations } from "@nimbus/domain/services"
import { Clock, Effect, Option } from "effect"
import type { AdminLimits } from "../Limits.ts"

type Named = OperationInput<"block">["payload"]

export const makeRevoking = Effect.fnUntraced(function* (limits: AdminLimits) {
  const revocations = Option.getOrUndefined(yield* Effect.serviceOption(Revocations))
  const found = revocations === undefined ? Effect.fail(noLocks) : Effect.succeed(revocations)

  const list = Effect.fn("Revoking.list")(function* ({ limit = limits.rows, search = "" }: Query) {
    const all = (yield* found).list()
    const asked = all.filter((order) => (order._tag === "Token" ? order.tokenId : order.subject).includes(search))
    return {
      revocations: asked.toSorted((one, other) => other.at_ms - one.at_ms).slice(0, limit),
      count: all.length,
      more: asked.length > limit,
    } satisfies RevocationsView
  })

  /** Gives the order about the issuer that is meant. */
  const order = Effect.fn("Revoking.order")(function* (named: string | undefined, of: (issuer: string) => Revocation) {
    const { issuer: first, order } = yield* found
    const issuer = named ?? first
    if (issuer === undefined) return yield* new NotPossible({ message: "name the issuer: the settings name none" })
    const isNew = yield* Effect.mapError(order(of(issuer)), ({ _tag, message }) =>
      _tag === "RevocationsFull" ? new NotPossible({ message }) : new AdminUnavailable({ message }),
    )
    return { issuer, isNew } satisfies Revoked
  })

  const revoke = Effect.fnUntraced(function* (payload: OperationInput<"revoke">["payload"]) {
    if (hasToken("tokenId" in payload ? payload.tokenId : payload.subject)) return yield* itself
    const now_s = Math.floor((yield* Clock.currentTimeMillis) / 1000)
    if ("tokenId" in payload) {
      const { expires_s = now_s + revocationLimits.revocation_kept_s, tokenId } = payload
      return yield* order(payload.issuer, (issuer) => ({ _tag: "Token", issuer, tokenId, expires_s }))
    }
    const { issued_s = now_s, subject } = payload
    return yield* order(payload.issuer, (issuer) => ({ _tag: "Subject", issuer, subject, issued_s }))
  })

  return {
    list,
    revoke,
    block: ({ issuer, subject }: Named) =>
      hasToken(subject) ? itself : order(issuer, (issuer) => ({ _tag: "Block", issuer, subject })),
    unblock: ({ issuer, subject }: Named) => order(issuer, (issuer) => ({ _tag: "Unblock", issuer, subject })),
  }
})

type Query = OperationInput<"revocations">["query"]

/** It would be an order about nobody, and the token would be in the log, and count on. */
const itself = Effect.fail(
  new NotPossible({ message: "this is a token itself: name its jti, or its subject. Nothing was revoked" }),
)

const noLocks = new NotPossible({ message: "there are no locks here: see docs/security.md" })
