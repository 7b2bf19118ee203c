/**
 * The revocations in the log, in partition 0 of a topic of their own, which every gateway reads from its beginning.
 *
 * ```
 *   order ─▶ publish ─▶ topic ─▶ tail, at every gateway ─▶ `RevokedSet` ─▶ listeners
 *                        ▲                                      │ due
 *                        └────────── written again ◀────────────┘
 * ```
 *
 * 1. The layer is there once all that the topic had at its start is in force: nobody is let in before.
 * 2. An order is in force here before `order` returns, and elsewhere as soon as it is read.
 * 3. While the log can't be read what is known stays in force, and no order is taken: it could not be stored.
 */
import { Clock, Deferred, Effect, Layer, Random, Result, Schema, Stream } from "effect"
import { revocationKey, RevokedSet, StoredRevocation } from "../access/Revocation.ts"
import { AuthUnavailable, type LogError } from "../Errors.ts"
import { chunkLimits, type RevocationLimits, revocationLimits } from "../Limits.ts"
import { registerSize } from "../observability/MemoryGauges.ts"
import { backoff_ms } from "../pacing/Backoff.ts"
import { chunksOf } from "../protocol/ChunksOf.ts"
import type { LogRecord, StoredRecord } from "../protocol/Records.ts"
import { type Chunk, EventLog } from "./EventLog.ts"
import { failureReporter, logFailure, untilItWorks } from "./FailureLog.ts"
import { makeListeners, orderNow, Revocations } from "./Revocations.ts"
import { Topics } from "./Topics.ts"

/** All of the topic is in one partition, for it is read as a whole. */
const partition = 0

/** Which bounds there are, and whose subjects are meant where an operator names no issuer. */
export interface RevocationsLogOptions {
  readonly issuer?: string | undefined
  readonly limits?: Partial<RevocationLimits> | undefined
}

/** The same with options. */
export const layerWith = ({ issuer, limits }: RevocationsLogOptions = {}): Layer.Layer<
  Revocations,
  never,
  EventLog | Topics
> =>
  Layer.effect(
    Revocations,
    Effect.suspend(() => make({ ...revocationLimits, ...limits }, issuer)),
  )

/** The revocations of the installation whose log this is. */
export const layer = layerWith()

const make = Effect.fnUntraced(function* (limits: RevocationLimits, issuer: string | undefined) {
  const log = yield* EventLog
  const topic = (yield* Topics).revocations ?? Topics.locked.revocations
  const set = new RevokedSet(limits)
  const { onOrder, tell } = makeListeners()
  yield* registerSize("revocations", set)

  const merge = (order: StoredRevocation) => void (set.merge(order) && tell(order))
  const take = Effect.fnUntraced(function* ({ records }: Chunk) {
    for (const record of records) {
      const order = decoded(record)
      if (Result.isSuccess(order)) merge(order.success)
      else yield* logFailure("understand a record of the revocations", order.failure)
    }
  })
  yield* readAll(log, topic, take)

  const publish = (orders: ReadonlyArray<StoredRevocation>) =>
    Effect.forEach(
      chunksOf(orders.map(recordOf), chunkLimits, log.facts(topic).publish_bytes),
      (chunk) => log.publish(topic, partition, chunk),
      { discard: true },
    ).pipe(
      // What was written may be read only later.
      Effect.andThen(Effect.sync(() => orders.forEach(merge))),
    )
  const rewrite = Effect.suspend(() => {
    const due = set.due(rewritten_at_once)
    return due.length === 0 ? Effect.succeed(false) : Effect.as(publish(due), true)
  })
  /** Each once, however many there are. */
  const rewriteAll = Effect.suspend(() =>
    Effect.repeat(rewrite, { while: (some) => some, times: Math.ceil(set.size.orders / rewritten_at_once) }),
  )
  const keep = Effect.gen(function* () {
    // Of all gateways one is the first, and the others have then read what it wrote.
    yield* Effect.sleep(Math.round(limits.revocation_keep_every_ms * (0.5 + (yield* Random.next))))
    set.forget(yield* Clock.currentTimeMillis)
    yield* rewriteAll
  })
  yield* keep.pipe(
    Effect.catch((error) => logFailure("rewrite revocations", error)),
    Effect.forever,
    Effect.forkScoped,
  )

  return Revocations.of({
    issuer,
    of: (principal) => set.of(principal),
    order: Effect.fn("Revocations.order")(function* (revocation) {
      const order = yield* orderNow(set, revocation)
      if (order !== undefined) yield* Effect.mapError(publish([order]), notStored)
      return order !== undefined
    }),
    list: () => set.list(),
    onOrder,
  })
})

/** Reads on in the background; done once all is read that is there now. */
const readAll = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  topic: string,
  take: (chunk: Chunk) => Effect.Effect<void>,
) {
  const outage = yield* failureReporter("read the revocations")
  const again = (failures: number) => backoff_ms(failures, retry_min_ms, retry_max_ms)
  const end = yield* untilItWorks("look where the revocations end", log.end(topic, partition), again)
  const state: { next: number | "earliest"; failures: number } = { next: "earliest", failures: 0 }
  const isRead = yield* Deferred.make<void>()
  const see = (next: number) => (next >= end ? Deferred.succeed(isRead, undefined) : Effect.void)

  const taken = (chunk: Chunk) =>
    Effect.gen(function* () {
      yield* take(chunk)
      state.next = chunk.next
      state.failures = 0
      yield* outage.worked
      yield* see(chunk.next)
    })
  const failed = (error: LogError) => Effect.andThen(outage.failed(error), Effect.sleep(again(state.failures++)))
  yield* Effect.suspend(() => Stream.runForEach(log.tail(topic, partition, state.next), taken)).pipe(
    Effect.catch(failed),
    Effect.forever,
    Effect.forkScoped,
  )
  // Of what is not retained there is nothing to read.
  yield* see(yield* untilItWorks("look where the revocations begin", log.earliest(topic, partition), again))
  yield* Deferred.await(isRead)
})

const json = Schema.fromJsonString(StoredRevocation)
const encode = Schema.encodeSync(json)
const decode = Schema.decodeUnknownResult(json)

const recordOf = (order: StoredRevocation): LogRecord => ({
  key: revocationKey(order),
  value: new TextEncoder().encode(encode(order)),
})

/** What is none of ours, or of a later version, says nothing here. */
const decoded = ({ unreadable, value }: StoredRecord): Result.Result<StoredRevocation, Error> =>
  unreadable === undefined ? decode(new TextDecoder().decode(value)) : Result.fail(new Error(unreadable))

const notStored = ({ code }: { readonly code: string }) =>
  new AuthUnavailable({ reason: `the order can't be stored now: ${code}` })

/** Orders that are written again at once. */
const rewritten_at_once = 500
const retry_min_ms = 100
const retry_max_ms = 2_000
