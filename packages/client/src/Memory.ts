/**
 * What a client must remember to see each of its results exactly once, and where it is kept.
 *
 * ```
 *   Core ──Change──▶ ClientMemory.save ──▶ process │ file │ localStorage │ the application's own store
 *                    ClientMemory.load ──▶ Remembered ──▶ Core
 * ```
 *
 * - `log`, `last`: the incarnation and the last seq that the consumer is done with. Told to the gateway on connecting.
 * - `unaccepted`: events sent and not yet accepted, as the frames they are sent in: they are sent again.
 *   Bounded by `window_events`.
 * - `doubtful`: ids of which the log may hold two events, and so the client may get two results: those sent more than
 *   once, and those that the application named, since it may have sent them in an earlier life. With each, the seq of
 *   its first answer: if that is at or below `last`, whatever else comes of that id is a repeat.
 *
 * An event sent once and accepted is one event in the log and needs no memory. Nothing says when the repeat of a
 * doubtful one can no longer come: a gateway that hung may publish its copy at any time. So `doubtful` is bounded by
 * count: with `doubtful_ids` = 16 × `window_events`, a copy is recognised until sixteen later reconnects have each
 * resent a full window, or as many named events were sent.
 *
 * Contract of an implementation:
 * 1. `save` succeeds once the changes survive a crash of whatever the memory is to survive. They are applied in
 *    order; after a crash a prefix of them holds.
 * 2. `load` gives what the saves of this client id add up to; nothing was ever saved: `empty`.
 * 3. One life of a client id uses a memory at a time: `load` once, then one `save` after the other.
 */
import { type ClientId, Cursor, EventId, Incarnation, Seq, start } from "@nimbus/domain"
import { Context, Effect, Layer, Schema } from "effect"
import { MemoryCorrupt, MemoryUnavailable } from "./Errors.ts"

/** An event on its way: its frame is encoded once and sent again byte for byte. */
export const Outgoing = Schema.Struct({ id: EventId, frame: Schema.String })
export type Outgoing = typeof Outgoing.Type

/** `answered`: the seq of its first answer; -1 for one in an earlier incarnation. */
export const Doubt = Schema.Struct({ id: EventId, answered: Schema.optionalKey(Cursor) })
export type Doubt = typeof Doubt.Type

export const Remembered = Schema.Struct({
  log: Schema.optionalKey(Incarnation),
  last: Cursor,
  unaccepted: Schema.Array(Outgoing),
  doubtful: Schema.Array(Doubt),
})
export type Remembered = typeof Remembered.Type

export const empty: Remembered = { last: start, unaccepted: [], doubtful: [] }

export const Change = Schema.TaggedUnion({
  /** Seqs begin anew, after `last`: what is remembered of those before means nothing any more. */
  Entered: { log: Incarnation, last: Cursor },
  /** The consumer is done with everything up to `last`. */
  Reached: { last: Cursor },
  Sent: { events: Schema.Array(Outgoing) },
  /** Accepted, refused or answered: not to be sent again. */
  Settled: { ids: Schema.Array(EventId) },
  Doubted: { ids: Schema.Array(EventId) },
  Answered: { answers: Schema.Array(Schema.Struct({ id: EventId, seq: Seq })) },
  /** No longer doubtful: refused, or the bound was reached. */
  Forgotten: { ids: Schema.Array(EventId) },
})
export type Change = typeof Change.Type

export class ClientMemory extends Context.Service<
  ClientMemory,
  {
    load(clientId: ClientId): Effect.Effect<Remembered, MemoryUnavailable | MemoryCorrupt>
    save(clientId: ClientId, changes: ReadonlyArray<Change>): Effect.Effect<void, MemoryUnavailable>
  }
>()("@nimbus/client/ClientMemory") {}

/** `Remembered` to be changed in place: the core's own, and that of memories which keep a whole. Maps keep their order of arrival. */
export interface Ledger {
  log: Incarnation | undefined
  last: Cursor
  readonly unaccepted: Map<EventId, Outgoing>
  /** `undefined`: no answer yet. */
  readonly doubtful: Map<EventId, Cursor | undefined>
}

export const toLedger = (remembered: Remembered): Ledger => ({
  log: remembered.log,
  last: remembered.last,
  unaccepted: new Map(remembered.unaccepted.map((event) => [event.id, event])),
  doubtful: new Map(remembered.doubtful.map((doubt) => [doubt.id, doubt.answered])),
})

export const toRemembered = (ledger: Ledger): Remembered => ({
  ...(ledger.log === undefined ? {} : { log: ledger.log }),
  last: ledger.last,
  unaccepted: [...ledger.unaccepted.values()],
  doubtful: Array.from(ledger.doubtful, ([id, answered]) => (answered === undefined ? { id } : { id, answered })),
})

/** Applies one change. The same twice is the same as once. */
export const apply = (ledger: Ledger, change: Change): void => {
  switch (change._tag) {
    case "Entered":
      ageAnswers(ledger)
      ledger.log = change.log
      ledger.last = change.last
      return
    case "Reached":
      ledger.last = change.last
      return
    case "Sent":
      for (const event of change.events) ledger.unaccepted.set(event.id, event)
      return
    case "Settled":
      for (const id of change.ids) ledger.unaccepted.delete(id)
      return
    case "Doubted":
      for (const id of change.ids) if (!ledger.doubtful.has(id)) ledger.doubtful.set(id, undefined)
      return
    case "Answered":
      for (const { id, seq } of change.answers) if (ledger.doubtful.has(id)) ledger.doubtful.set(id, seq)
      return
    case "Forgotten":
      for (const id of change.ids) ledger.doubtful.delete(id)
      return
  }
}

/** Among other seqs no item can be the first answer again: whatever comes of that id is a repeat. */
const ageAnswers = (ledger: Ledger): void => {
  for (const [id, answered] of ledger.doubtful) if (answered !== undefined) ledger.doubtful.set(id, start)
}

/** Keeps it as long as the process lives: survives reconnects and clients made anew from the same layer. */
export const layerMemory: Layer.Layer<ClientMemory> = Layer.sync(ClientMemory, () => {
  const ledgers = new Map<ClientId, Ledger>()
  const ledgerOf = (clientId: ClientId): Ledger => {
    const ledger = ledgers.get(clientId) ?? toLedger(empty)
    ledgers.set(clientId, ledger)
    return ledger
  }
  return ClientMemory.of({
    load: (clientId) => Effect.sync(() => toRemembered(ledgerOf(clientId))),
    save: (clientId, changes) =>
      Effect.sync(() => {
        const ledger = ledgerOf(clientId)
        for (const change of changes) apply(ledger, change)
      }),
  })
})

/** The part of the browser's `Storage` that is needed. */
export interface KeyValueStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

const Stored = Schema.fromJsonString(Remembered)
export const decodeStored = Schema.decodeResult(Stored)
export const encodeStored = Schema.encodeSync(Stored)

/**
 * Keeps it in a browser's `localStorage`, under `nimbus:<client id>`, written whole at each save. What is kept is
 * small unless much is unaccepted; a full storage fails the save.
 */
export const layerStorage = (storage: KeyValueStorage): Layer.Layer<ClientMemory> =>
  Layer.sync(ClientMemory, () => {
    const ledgers = new Map<ClientId, Ledger>()
    const load = Effect.fnUntraced(function* (clientId: ClientId) {
      const key = keyOf(clientId)
      const text = yield* Effect.try({
        try: () => storage.getItem(key),
        catch: (cause) => new MemoryUnavailable({ operation: "load", cause }),
      })
      const remembered =
        text === null
          ? empty
          : yield* Effect.mapError(
              Effect.fromResult(decodeStored(text)),
              (error) => new MemoryCorrupt({ place: key, reason: error.message }),
            )
      ledgers.set(clientId, toLedger(remembered))
      return remembered
    })
    const save = (clientId: ClientId, changes: ReadonlyArray<Change>) =>
      Effect.try({
        try: () => {
          const ledger = ledgers.get(clientId) ?? toLedger(empty)
          ledgers.set(clientId, ledger)
          for (const change of changes) apply(ledger, change)
          storage.setItem(keyOf(clientId), encodeStored(toRemembered(ledger)))
        },
        catch: (cause) => new MemoryUnavailable({ operation: "save", cause }),
      })
    return ClientMemory.of({ load, save })
  })

const keyOf = (clientId: ClientId): string => `nimbus:${clientId}`
