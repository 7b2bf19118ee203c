/**
 * What a client must remember to receive each of its results exactly once, and where it is stored.
 *
 * ```
 *   Core ──Change──▶ ClientMemory.save ──▶ process │ file │ localStorage │ the application's own store
 *                    ClientMemory.load ──▶ Remembered ──▶ Core
 * ```
 *
 * - `log`, `last`: the incarnation, and the last seq that the consumer has processed. The client sends them when it
 *   connects.
 * - `consumed`: the same for the consumer of results alone, if it is further. Parts of tasks that wait for their reader hold
 *   `last` back.
 * - `unaccepted`: events that were sent and not accepted, as frames. They are sent again. Bounded by `window_events`.
 * - `doubtful`: ids of which the log may have two events, so that the client may receive two results. These are the ids
 *   that were sent more than once, and those that the application chose, because an earlier process may have sent them. Each
 *   has the seq of its first result. If that is at or below `consumed`, every other result of this id is a repeat. If it is
 *   further, no consumer has processed it: for the next process the id has no result yet.
 *   The pipeline itself recognises an id within `dedupe_records` of its partition (`welcome`), and says `repeated` instead of
 *   a second result. Where that reaches back far enough, this is not needed (a property of `Core.test.ts`). It is for what
 *   comes later: a client that was away for longer and sends again, and a copy of a gateway that hung. Under load the window
 *   is some seconds long.
 * - `tasks`: the tasks that the client streams, with the parts of their answers (`KeptTasks.ts`). A part is acknowledged
 *   when it is here, so that a stream that is resumed has all of them again. Bounded by `task_chars` and `tasks`.
 * - `cancels`: tasks that are to be cancelled. They are sent again until a gateway confirms that the log has them. Bounded by
 *   `cancels`.
 *
 * An event that was sent once and accepted is one event in the log, and needs no memory. The repeat of a doubtful event may
 * arrive at any time, because a gateway that hung may publish its copy late. `doubtful` is therefore bounded by count: with
 * `doubtful_ids` = 4 × `window_events`, a copy beyond the window of the pipeline is detected until four later reconnects have
 * each sent a full window again, or as many events with chosen ids were sent.
 *
 * Contract of an implementation:
 * 1. `save` succeeds when the changes survive every crash that the memory must survive. They are applied in order, and
 *    after a crash a prefix of them is stored.
 * 2. `load` returns the sum of all saves of this client id, or `empty` if nothing was saved.
 * 3. One process uses the memory of a client id at a time: `load` once, then one `save` after the other.
 */
import { parseJsonText } from "@nimbus/domain/json"
import { type ClientId, type Cursor, type EventId, Guards, type Incarnation } from "@nimbus/domain/protocol"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { MemoryCorrupt, MemoryUnavailable } from "./Errors.ts"
import * as KeptTasks from "./KeptTasks.ts"
import type { Change, Outgoing, Remembered } from "./MemorySchemas.ts"

export type { Change, Doubt, KeptTask, Outgoing, Remembered, TaskEnd } from "./MemorySchemas.ts"

const start = Guards.beginning

/** The memory of a client that has never run. */
export const empty: Remembered = { last: start, unaccepted: [], doubtful: [] }

/**
 * Stores what a client must remember: in the process (`layerMemory`), in a browser (`layerStorage`), in a file
 * (`@nimbus/client/node`), or in a store of your own.
 */
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
  /** At least `last`. */
  consumed: Cursor
  readonly unaccepted: Map<EventId, Outgoing>
  /** `undefined`: it has no result yet. */
  readonly doubtful: Map<EventId, Cursor | undefined>
  readonly tasks: KeptTasks.KeptTasks
  readonly cancels: Set<EventId>
}

/** A copy that can be changed in place. */
export const toLedger = (remembered: Remembered): Ledger => ({
  log: remembered.log,
  last: remembered.last,
  consumed: furthest(remembered.last, remembered.consumed ?? remembered.last),
  unaccepted: new Map(remembered.unaccepted.map((event) => [event.id, event])),
  doubtful: new Map(remembered.doubtful.map((doubt) => [doubt.id, doubt.answered])),
  tasks: new Map(remembered.tasks?.map((task) => [task.id, KeptTasks.fromKept(task)])),
  cancels: new Set(remembered.cancels),
})

/** A copy of it as data. */
export const toRemembered = (ledger: Ledger): Remembered => ({
  ...(ledger.log === undefined ? {} : { log: ledger.log }),
  last: ledger.last,
  ...(ledger.consumed > ledger.last ? { consumed: ledger.consumed } : {}),
  unaccepted: [...ledger.unaccepted.values()],
  doubtful: Array.from(ledger.doubtful, ([id, answered]) => (answered === undefined ? { id } : { id, answered })),
  ...(ledger.tasks.size === 0 ? {} : { tasks: Array.from(ledger.tasks.values(), KeptTasks.toKept) }),
  ...(ledger.cancels.size === 0 ? {} : { cancels: [...ledger.cancels] }),
})

/** Applies one change. Idempotent. */
export const apply = (ledger: Ledger, change: Change): void => {
  switch (change._tag) {
    case "Entered":
      ageAnswers(ledger)
      KeptTasks.enterLog(ledger.tasks, change.last)
      ledger.log = change.log
      ledger.last = change.last
      ledger.consumed = change.last
      return
    case "Reached":
      ledger.last = change.last
      ledger.consumed = furthest(ledger.consumed, change.last)
      return
    case "Consumed":
      ledger.consumed = furthest(ledger.consumed, change.seq)
      return
    case "Sent":
      for (const event of change.events) ledger.unaccepted.set(event.id, event)
      return
    case "Settled":
      for (const id of change.ids) ledger.unaccepted.delete(id)
      return
    case "Doubted":
      for (const id of change.ids) ledger.doubtful.set(id, undefined)
      return
    case "Answered":
      for (const { id, seq } of change.answers) if (ledger.doubtful.has(id)) ledger.doubtful.set(id, seq)
      return
    case "Forgotten":
      for (const id of change.ids) ledger.doubtful.delete(id)
      return
    case "Cancelled":
      for (const id of change.ids) ledger.cancels.add(id)
      return
    case "CancelSettled":
      for (const id of change.ids) ledger.cancels.delete(id)
      return
    default:
      return KeptTasks.applyTo(ledger.tasks, change)
  }
}

const furthest = (a: Cursor, b: Cursor): Cursor => (a > b ? a : b)

/** With other seqs no item can be the first result again: everything that arrives with this id is a repeat. */
const ageAnswers = (ledger: Ledger): void => {
  for (const [id, answered] of ledger.doubtful) if (answered !== undefined) ledger.doubtful.set(id, start)
}

/** Keeps it while the process lives. It survives reconnects, and new clients from the same layer. */
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

/** What `encodeStored` wrote, or what is wrong with it: as the schema `Remembered` reads it, a property holds the two together. */
export const decodeStored = (text: string): Result.Result<Remembered, string> => {
  const json = parseJsonText(text)
  if (Result.isFailure(json)) return Result.fail(json.failure)
  return isRemembered(json.success) ? Result.succeed(json.success) : Result.fail("is not what a client remembers")
}

/** The text that a store keeps. */
export const encodeStored = (remembered: Remembered): string => JSON.stringify(remembered)

const isRemembered = (u: unknown): u is Remembered =>
  Guards.isObject(u) &&
  (u["log"] === undefined || Guards.isIncarnation(u["log"])) &&
  Guards.isCursor(u["last"]) &&
  (u["consumed"] === undefined || Guards.isCursor(u["consumed"])) &&
  Guards.isArrayOf(u["unaccepted"], isOutgoing) &&
  Guards.isArrayOf(u["doubtful"], isDoubt) &&
  (u["tasks"] === undefined || Guards.isArrayOf(u["tasks"], KeptTasks.isKept)) &&
  (u["cancels"] === undefined || Guards.isArrayOf(u["cancels"], Guards.isEventId))

const isOutgoing = (u: unknown): boolean => Guards.isObject(u) && Guards.isEventId(u["id"]) && Guards.isText(u["frame"])

const isDoubt = (u: unknown): boolean =>
  Guards.isObject(u) && Guards.isEventId(u["id"]) && (u["answered"] === undefined || Guards.isCursor(u["answered"]))

/**
 * Keeps it in the `localStorage` of a browser, under `nimbus:<client id>`, and writes all of it at each save. It is small
 * unless many events are unaccepted, or long answers are kept (`task_chars`). If the storage is full, the save fails.
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
              (reason) => new MemoryCorrupt({ place: key, reason }),
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
