/**
 * What counts no more although its time has not come: single tokens, all tokens of a subject that were issued before a
 * moment, and blocked subjects. An order is in force at every gateway within 5 s, and survives all restarts.
 *
 * Contract, checked by `revocationsSuite` of `@nimbus/domain/testing`: an order is in force here as soon as `order` has
 * returned, and then `onOrder` has been called. What says less than what is in force changes nothing.
 *
 * Bounded: an order about tokens is forgotten when none of them could count any more, and beyond
 * `revocation_orders` a new one is refused.
 */
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import type { Principal } from "../access/Principal.ts"
import { type Revocation, type RevocationInForce, RevokedSet, type StoredRevocation } from "../access/Revocation.ts"
import { type AuthUnavailable, RevocationsFull } from "../Errors.ts"
import { type RevocationLimits, revocationLimits } from "../Limits.ts"

export type { Revocation, StoredRevocation } from "../access/Revocation.ts"

/** What counts no more although its time has not come. */
export class Revocations extends Context.Service<
  Revocations,
  {
    /** Whose subjects and tokens are meant where an operator names no issuer; `undefined`: each must be named. */
    readonly issuer: string | undefined
    /** The order by which this one counts no more. */
    of(principal: Principal): Revocation | undefined
    /** Done once it is stored. False: it changes nothing, for it is in force, or over, already. */
    order(revocation: Revocation): Effect.Effect<boolean, AuthUnavailable | RevocationsFull>
    /** All that are in force. */
    readonly list: () => ReadonlyArray<RevocationInForce>
    /** Called with what has come, so that open sessions are looked at. Must not throw. */
    onOrder(listener: (revocation: Revocation) => void): Effect.Effect<void, never, Scope.Scope>
  }
>()("@nimbus/domain/Revocations") {
  /** In memory: for tests, and for what embeds Nimbus and keeps its revocations itself. A restart forgets them. */
  static readonly layerMemory = (limits: Partial<RevocationLimits> = {}) =>
    Layer.sync(Revocations, () => {
      const set = new RevokedSet({ ...revocationLimits, ...limits })
      const { onOrder, tell } = makeListeners()
      return Revocations.of({
        issuer: undefined,
        of: (principal) => set.of(principal),
        order: Effect.fnUntraced(function* (revocation) {
          const order = yield* orderNow(set, revocation)
          if (order !== undefined && set.merge(order)) tell(order)
          return order !== undefined
        }),
        list: () => set.list(),
        onOrder,
      })
    })
}

/** The record of an order that is given now. `undefined`: it would change nothing. */
export const orderNow = Effect.fnUntraced(function* (
  set: RevokedSet,
  revocation: Revocation,
): Effect.fn.Return<StoredRevocation | undefined, RevocationsFull> {
  const now_ms = yield* Clock.currentTimeMillis
  set.forget(now_ms)
  const order = set.decide(revocation, now_ms)
  const missing = order === undefined ? undefined : set.noRoomFor(order)
  return missing === undefined ? order : yield* new RevocationsFull({ missing })
})

/** Who wants to know of orders. */
export const makeListeners = () => {
  const listeners = new Set<(revocation: Revocation) => void>()
  return {
    tell: (revocation: Revocation): void => {
      for (const listener of listeners) listener(revocation)
    },
    onOrder: (listener: (revocation: Revocation) => void) =>
      Effect.acquireRelease(
        Effect.sync(() => void listeners.add(listener)),
        () => Effect.sync(() => listeners.delete(listener)),
      ),
  }
}
