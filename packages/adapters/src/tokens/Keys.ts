/**
 * The keys of one issuer, kept current: asked for at the start, now and then, and when a token names one that is not known.
 *
 * One question is under way at a time, and all who need its answer wait for it. While the issuer does not answer, it is
 * asked again after waits that grow; what `KeyBook` knows serves meanwhile.
 */
import { canonicalIssuer } from "@nimbus/domain/access"
import { AuthUnavailable, type Unauthenticated } from "@nimbus/domain/errors"
import { backoff_ms } from "@nimbus/domain/pacing"
import { failureReporter } from "@nimbus/domain/services"
import { Clock, Deferred, Effect, Random, type Scope } from "effect"
import type { TokenLimits } from "../Limits.ts"
import { type Found, KeyBook, type KeyChoice, type VerifyKey } from "./KeyBook.ts"
import type { IssuerSettings } from "./Settings.ts"
import { sourceOf } from "./Sources.ts"
import { tokenInvalid } from "./Refusals.ts"

export interface Keys {
  /** Those that may have signed a token with this header: at least one. */
  find(choice: KeyChoice): Effect.Effect<ReadonlyArray<VerifyKey>, Unauthenticated | AuthUnavailable>
  /** After none of them had: asks again if that may help, and says whether there is something new. */
  readonly again: Effect.Effect<boolean>
  /** Whether what is known of them may let somebody in. */
  isFresh(): boolean
  /** Whether sessions on this key go on. */
  has(id: string): boolean
}

/** Of an issuer. What its settings themselves have, or a file of this machine, is read first: `fail` takes what is wrong. */
export const make = Effect.fnUntraced(function* <E>(
  settings: IssuerSettings,
  limits: TokenLimits,
  isInsecure: boolean,
  fail: (reason: string) => E,
): Effect.fn.Return<Keys, E, Scope.Scope> {
  const { every_ms, source } = sourceOf(settings, limits, isInsecure)
  const book = new KeyBook(every_ms === undefined ? { ...limits, keys_stale_ms: Infinity } : limits)
  const clock = yield* Clock.Clock
  const now_ms = () => clock.currentTimeMillisUnsafe()
  const reporter = yield* failureReporter(`asking ${canonicalIssuer(settings.issuer)} for its keys`)
  let failures = 0

  const fetch = Effect.gen(function* () {
    book.asked(now_ms())
    book.fetched(yield* source, now_ms())
    failures = 0
    yield* reporter.worked
  }).pipe(
    Effect.catch((error) => {
      book.failed()
      failures++
      return reporter.failed(error)
    }),
  )
  const ask = yield* shared(fetch)

  if (settings.keys._tag === "Discovery" || settings.keys._tag === "Url") {
    yield* Effect.forkScoped(ask)
  } else {
    book.asked(now_ms())
    book.fetched(yield* Effect.mapError(source, ({ reason }) => fail(reason)), now_ms())
  }
  if (every_ms !== undefined) yield* Effect.forkScoped(repeated(ask, () => failures, every_ms, limits))

  /** `waits`: for how many answers it has waited. A second question was put after it came, whoever put it. */
  const next = (found: Found, choice: KeyChoice, waits = 0): ReturnType<Keys["find"]> => {
    switch (found._tag) {
      case "Keys":
        return Effect.succeed(found.keys)
      case "Ask": {
        const isAnswered = waits > 0 || !book.isAsking
        return Effect.flatMap(ask, () => next(book.find(choice, now_ms(), isAnswered), choice, waits + 1))
      }
      case "Absent":
        return Effect.fail(tokenInvalid("its issuer has no such key"))
      case "Later":
        return Effect.fail(
          new AuthUnavailable({ code: "AUTH_UNAVAILABLE", reason: "the keys of the issuer can't be asked for now" }),
        )
    }
  }
  return {
    find: (choice) => Effect.suspend(() => next(book.find(choice, now_ms(), every_ms === undefined), choice)),
    again: Effect.suspend(() =>
      every_ms === undefined || !book.mayAsk(now_ms()) ? Effect.succeed(false) : Effect.as(ask, true),
    ),
    isFresh: () => book.isFresh(now_ms()),
    has: (id) => book.has(id),
  }
})

/** Runs one at a time, in the scope, for all who ask meanwhile. Who gives up asking does not stop it. */
const shared = Effect.fnUntraced(function* (effect: Effect.Effect<void>) {
  const scope = yield* Effect.scope
  let running: Deferred.Deferred<void> | undefined
  const begun = Effect.suspend(() => {
    if (running !== undefined) return Effect.succeed(running)
    const done = Deferred.makeUnsafe<void>()
    running = done
    const run = Effect.ensuring(
      Effect.interruptible(effect),
      Effect.suspend(() => {
        running = undefined
        return Deferred.succeed(done, undefined)
      }),
    )
    return Effect.as(Effect.forkIn(run, scope), done)
  })
  // Whoever asks may be interrupted once it runs, and not before: it would never be over.
  return Effect.flatMap(Effect.uninterruptible(begun), (done) => Deferred.await(done))
})

/** Gateways that start together do not ask together for ever. */
const repeated = (ask: Effect.Effect<void>, failures: () => number, every_ms: number, limits: TokenLimits) =>
  Effect.gen(function* () {
    const wait_ms = failures() === 0 ? every_ms : backoff_ms(failures() - 1, limits.fetch_min_ms, limits.fetch_max_ms)
    yield* Effect.sleep(wait_ms * (1 - 0.1 * (yield* Random.next)))
    yield* ask
  }).pipe(Effect.forever)
