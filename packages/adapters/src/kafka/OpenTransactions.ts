/**
 * The open transactions of other producers. No record behind one can be read, whoever wrote it: Kafka returns records
 * in order, and does not know yet whether those of the transaction are valid.
 *
 * Kafka aborts a transaction after the `transaction.timeout.ms` of its producer, so most end soon. A transaction that
 * is open for longer than `open_transaction_ms` is logged, and measured until it ends.
 */
import { failureReporter } from "@nimbus/domain/services"
import { Clock, Effect, type Scope } from "effect"
import { KafkaTransactionOpen } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { setOpenTransaction } from "./Metrics.ts"
import type { Fetched } from "./Requests.ts"

export interface OpenTransactions {
  /** The response of a partition. */
  see(fetched: Fetched): Effect.Effect<void>
}

/** The open transactions that one reader meets, until the scope closes. */
export const makeOpenTransactions = Effect.fnUntraced(function* (
  limits: Pick<KafkaLimits, "open_transaction_ms">,
): Effect.fn.Return<OpenTransactions, never, Scope.Scope> {
  const outage = yield* failureReporter("read on behind a transaction")
  const open = new Map<string, Open>()

  const ended = (key: string, { partition, topic, isTold }: Open): Effect.Effect<void> => {
    open.delete(key)
    if (!isTold) return Effect.void
    const isLast = ![...open.values()].some(({ isTold }) => isTold)
    return Effect.andThen(setOpenTransaction(topic, partition, 0), isLast ? outage.worked : Effect.void)
  }
  const goesOn = (one: Open, waiting: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
      const open_ms = now_ms - one.since_ms
      if (open_ms < limits.open_transaction_ms) return Effect.void
      one.isTold = true
      const { offset, partition, topic } = one
      return Effect.andThen(
        setOpenTransaction(topic, partition, open_ms / 1000),
        outage.failed(new KafkaTransactionOpen({ topic, partition, offset, open_ms, waiting })),
      )
    })
  const begins = (key: string, { lastStable: offset, partition, topic }: Fetched) =>
    Effect.map(Clock.currentTimeMillis, (since_ms) => {
      open.set(key, { topic, partition, offset, since_ms, isTold: false })
    })

  yield* Effect.addFinalizer(() => Effect.forEach(open, ([key, one]) => ended(key, one), { discard: true }))
  return {
    see: (fetched) => {
      const { highWatermark, lastStable } = fetched
      // The usual case, which costs nothing.
      if (lastStable >= highWatermark && open.size === 0) return Effect.void
      const key = `${fetched.partition} ${fetched.topic}`
      const known = open.get(key)
      if (lastStable < highWatermark && known?.offset === lastStable) return goesOn(known, highWatermark - lastStable)
      const end = known === undefined ? Effect.void : ended(key, known)
      return lastStable < highWatermark ? Effect.andThen(end, begins(key, fetched)) : end
    },
  }
})

interface Open {
  readonly topic: string
  readonly partition: number
  /** The offset at which it begins. */
  readonly offset: number
  readonly since_ms: number
  isTold: boolean
}
