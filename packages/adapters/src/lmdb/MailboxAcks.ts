/**
 * The acks that are not in the tables yet. They take effect immediately. They are written together after a short delay,
 * when too many wait, and when the scope closes.
 *
 * Until it is written, an ack occupies a map entry, and a crash loses it: the records that it trimmed are there again,
 * and the next ack of the client trims them.
 */
import { type ClientId, type Cursor, start } from "@nimbus/domain/protocol"
import { logFailure, type MailboxStorage } from "@nimbus/domain/services"
import { Effect, Latch, type Scope, Semaphore } from "effect"
import type { StorageUnavailable } from "../Errors.ts"
import { writeAcks, type Writes } from "./MailboxWrites.ts"
import type { LmdbStore } from "./Store.ts"

export interface MailboxAcks {
  /** The ack of the client if it is not in the tables yet, or else -1. */
  readonly of: (clientId: ClientId) => Cursor
  /** Accepts acks immediately. It waits, or fails, only if too many are not written yet. */
  readonly add: (acks: ReadonlyArray<MailboxStorage.MailboxAck>) => Effect.Effect<void, StorageUnavailable>
  /** Writes all acks that wait. */
  readonly flush: Effect.Effect<void, StorageUnavailable>
}

export const makeAcks = Effect.fnUntraced(function* (
  store: LmdbStore["Service"],
  writes: Writes,
): Effect.fn.Return<MailboxAcks, never, Scope.Scope> {
  const { ack_delay_ms, step_clients, waiting_acks } = writes.storage
  const waiting = new Map<ClientId, MailboxStorage.MailboxAck>()
  const some = yield* Latch.make(false)
  const writer = yield* Semaphore.make(1)

  const writeSome = Effect.suspend(() => {
    const acks = Array.from(waiting.values().take(step_clients))
    return Effect.map(
      store.commit(() => writeAcks(writes, acks)),
      () => {
        for (const ack of acks) if (waiting.get(ack.clientId) === ack) waiting.delete(ack.clientId)
      },
    )
  })
  const writeUntil = (bound: number) =>
    writer.withPermits(1)(
      Effect.whileLoop({ while: () => waiting.size > bound, body: () => writeSome, step: () => {} }),
    )

  const warn = Effect.catch((error: StorageUnavailable) => logFailure("write acks", error))
  yield* Effect.addFinalizer(() => warn(writeUntil(0)))
  yield* some.await.pipe(
    Effect.andThen(Effect.sleep(ack_delay_ms)),
    Effect.andThen(some.close),
    Effect.andThen(warn(writeUntil(0))),
    Effect.andThen(Effect.suspend(() => (waiting.size > 0 ? some.open : Effect.void))),
    Effect.forever,
    Effect.forkScoped,
  )

  return {
    flush: writeUntil(0),
    of: (clientId) => waiting.get(clientId)?.seq ?? start,
    add: (acks) =>
      Effect.suspend(() => {
        for (const ack of acks) {
          if (ack.seq > (waiting.get(ack.clientId)?.seq ?? start)) waiting.set(ack.clientId, ack)
        }
        if (waiting.size > 0) some.openUnsafe()
        return waiting.size > waiting_acks ? writeUntil(waiting_acks) : Effect.void
      }),
  }
})
