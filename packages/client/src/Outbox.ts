/**
 * Changes that wait to be saved, frames that wait to be written, and the one fiber that does both.
 *
 * The fiber takes everything at once, and saves it before it writes any of it. There is therefore one save, one write and
 * one ack per turn, and no ack or event is sent that the memory may not have.
 *
 * Bounds: events by `window_events`; cancels by `cancels`; changes by those, and by the results that may wait for the consumer, because the
 * cursor is kept only once. Acks, pings and tokens are kept only once too.
 */
import type { ClientId, Cursor, EventId } from "@nimbus/domain/protocol"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Semaphore from "effect/Semaphore"
import type { MemoryUnavailable } from "./Errors.ts"
import type { Change, ClientMemory, Outgoing } from "./Memory.ts"
import { authFrame, type Connection } from "./Transport.ts"

export interface Outbox {
  /** Changes to be saved, and events to be written. */
  readonly size: { readonly changes: number; readonly frames: number }
  remember(change: Change): void
  write(events: ReadonlyArray<Outgoing>): void
  cancel(ids: ReadonlyArray<EventId>): void
  ack(seq: Cursor): void
  ping(): void
  /** Shows the gateway another token. */
  authenticate(token: string): void
  /** Sends frames there from now on. */
  connect(connection: Connection): void
  /** Drops waiting frames. The core writes again what must still be written. */
  disconnect(): void
  /** Saves and writes what waits now. */
  readonly flush: Effect.Effect<void, MemoryUnavailable>
  /** Flushes whenever something waits. */
  readonly run: Effect.Effect<never, MemoryUnavailable>
}

export const make = (memory: ClientMemory["Service"], clientId: ClientId): Outbox => {
  const waiting = Latch.makeUnsafe(false)
  const turn = Semaphore.makeUnsafe(1)
  let changes: Array<Change> = []
  let frames: Array<string> = []
  let ack: Cursor | undefined
  let asks = false
  let token: string | undefined
  let connection: Connection | undefined

  const takeFrames = (): ReadonlyArray<string> => {
    const taken = frames
    if (token !== undefined) taken.push(authFrame(token))
    if (asks) taken.push(`{"type":"ping"}`)
    if (ack !== undefined) taken.push(`{"type":"ack","seq":${ack}}`)
    frames = []
    asks = false
    token = undefined
    ack = undefined
    return taken
  }
  // A save is not interrupted: what was taken from here must be in the memory, or the client must fail.
  const flush = turn.withPermit(
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const taken = changes
        changes = []
        const written = writeTo(connection, takeFrames())
        return taken.length === 0 ? restore(written) : Effect.andThen(memory.save(clientId, taken), restore(written))
      }),
    ),
  )
  return {
    get size() {
      return { changes: changes.length, frames: frames.length }
    },
    remember: (change) => {
      if (change._tag === "Reached" && changes.at(-1)?._tag === "Reached") changes.pop()
      changes.push(change)
      waiting.openUnsafe()
    },
    write: (events) => {
      for (const event of events) frames.push(event.frame)
      waiting.openUnsafe()
    },
    cancel: (ids) => {
      for (const id of ids) frames.push(JSON.stringify({ type: "cancel", id }))
      waiting.openUnsafe()
    },
    ack: (seq) => {
      ack = seq
      waiting.openUnsafe()
    },
    ping: () => {
      asks = true
      waiting.openUnsafe()
    },
    authenticate: (another) => {
      token = another
      waiting.openUnsafe()
    },
    connect: (to) => {
      connection = to
    },
    disconnect: () => {
      connection = undefined
      takeFrames()
    },
    flush,
    run: Effect.forever(
      Effect.andThen(
        waiting.await,
        Effect.suspend(() => {
          waiting.closeUnsafe()
          return flush
        }),
      ),
    ),
  }
}

/** If a write finds the connection closed, the reader does so too, and resumes. What was not written is written again. */
const writeTo = (connection: Connection | undefined, frames: ReadonlyArray<string>): Effect.Effect<void> =>
  connection === undefined || frames.length === 0
    ? Effect.void
    : Effect.catchTag(connection.write(frames), "ConnectionClosed", () => Effect.void)
