/**
 * Reads one partition of the results topic for all sessions of direct delivery of a process: with one reader at the end
 * of the log, and at most one more for the sessions that are behind.
 *
 * ```
 *               ┌─────────── pass: reads from the lowest position ───────────┐   ┌── recent ──┐
 *   log  ───────┼──────────────────────────────────────────────────────┬────┼───┼────────────┤ next
 *               │ behind: wait for a pass          members: given what  │    │   │  live: given what comes
 *               └──────────────────────────────────it reads─────────────┘    └───┴────────────┘
 * ```
 *
 * Invariants:
 * 1. A follower is given all of its records from its position on, in order, and none twice while it follows. Otherwise
 *    it is notified of a gap.
 * 2. A follower that can't take a record leaves (`Leave`) and blocks no other. It returns (`Follow`) with its position:
 *    to the recent chunks if they go back so far, else to the running pass, else to the next one. It ignores what it is
 *    given before its `Leave` arrives.
 * 3. A pass begins with all waiting followers, at the lowest position, and ends where the recent chunks begin. No
 *    follower therefore waits for more than the running pass.
 * 4. It keeps the recent chunks, at most `recent_bytes` (one chunk is always kept), and the last chunk of a pass.
 *
 * The feed is deterministic, and has no I/O, clock or randomness. Its state is changed in place. The shell reads as
 * `isWanted` and `passState` say, passes on what it read, and carries out the outputs, in order, before the next input.
 */
import type { Chunk } from "./Reads.ts"
import type { ClientId } from "./Ids.ts"
import { clientIdUnsafe } from "./Ids.ts"
import { type Item, peekSeq } from "./Records.ts"
import { invariant } from "./internal/Invariant.ts"

/** A record of the results topic. */
export interface LogItem extends Item {
  readonly offset: number
}

/** What is said to a client's session while it follows. */
export type FeedNews =
  /** All of its records from its position up to `next`. */
  | Records
  /** There is nothing of it between its position and `next`. */
  | { readonly _tag: "Passed"; readonly clientId: ClientId; readonly next: number }
  /** The log has no more what comes next for it. It has left. */
  | { readonly _tag: "Gap"; readonly clientId: ClientId }
  /** It is given what comes as it comes. */
  | { readonly _tag: "CaughtUp"; readonly clientId: ClientId }
  /** It is given what is older. */
  | { readonly _tag: "FellBehind"; readonly clientId: ClientId }

interface Records {
  readonly _tag: "Records"
  readonly clientId: ClientId
  readonly records: ReadonlyArray<LogItem>
  readonly next: number
}

/** What a feed wants done. */
export type Output =
  | FeedNews
  /** Somebody waits for a pass, or has come to the one under way. */
  | { readonly _tag: "Wake" }

/** What a feed is told. */
export type Input =
  /** From its position on: what it was told it has passed, and no more. A client has one session that follows. */
  | { readonly _tag: "Follow"; readonly clientId: ClientId; readonly position: number }
  | { readonly _tag: "Leave"; readonly clientId: ClientId }
  /** The reader at the end starts here. */
  | { readonly _tag: "Begin"; readonly at: number }
  /** The next chunk at the end. */
  | { readonly _tag: "Chunk"; readonly chunk: Chunk }
  /** The first offset that the log retains: what it lacks no chunk will ever tell, if nothing new comes. */
  | { readonly _tag: "Retained"; readonly earliest: number }
  /** Begins a pass with all who wait, from `passFrom` on, if there is anybody whom the log can help. */
  | { readonly _tag: "BeginPass"; readonly earliest: number }
  /** The next chunk of the pass. */
  | { readonly _tag: "PassChunk"; readonly chunk: Chunk }
  /** The pass is over, wherever it has got to. Who was in it waits for the next one. */
  | { readonly _tag: "EndPass" }

type Out = Array<Output>

/** By client, the next offset to read for it, as far as it was told: what was passed in silence is not counted. */
type Place = Map<ClientId, number>

/** What bounds a feed. */
export interface Options {
  readonly recent_bytes: number
}

/** What a feed knows of a partition and its followers. Only `step` changes it. */
export interface State {
  readonly options: Options
  /** The offset that the reader at the end reads next; `undefined` until `Begin`. */
  next: number | undefined
  recent: Array<Shared>
  recent_bytes: number
  readonly live: Place
  readonly behind: Place
  pass: { next: number; last: Shared | undefined; readonly members: Place } | undefined
}

/** A feed before its first input. */
export const make = (options: Options): State => ({
  options,
  next: undefined,
  recent: [],
  recent_bytes: 0,
  live: new Map(),
  behind: new Map(),
  pass: undefined,
})

/** How many are live, wait for a pass, and are in one. */
export const sizeOf = ({ behind, live, pass }: State) => ({
  live: live.size,
  behind: behind.size,
  passing: pass?.members.size ?? 0,
})

/**
 * Up to where a client that follows has passed everything, for it is not told of what is not its own. Once all outputs
 * are carried out: before, it may have been given less.
 */
export const passedUpTo = ({ live, next, pass }: State, clientId: ClientId): number | undefined => {
  if (live.has(clientId)) return next
  return pass?.members.has(clientId) === true ? pass.next : undefined
}

/** Whether a pass should begin. */
export const isWanted = ({ behind, next, pass }: State): boolean =>
  pass === undefined && next !== undefined && behind.size > 0

/** Where the pass reads next; `undefined`: there is none. */
export const passFrom = ({ pass }: State): number | undefined => pass?.next

/** `more`: to be read now. `idle`: nobody can take more just now. */
export const passState = ({ pass }: State): "done" | "more" | "idle" =>
  pass === undefined ? "done" : pass.members.size > 0 ? "more" : "idle"

/** Adds what is to be done to `out`. */
export const step = (state: State, input: Input, out: Array<Output> = []): ReadonlyArray<Output> => {
  switch (input._tag) {
    case "Chunk":
      onChunk(state, input.chunk, out)
      break
    case "PassChunk":
      onPassChunk(state, input.chunk, out)
      break
    case "Follow":
      invariant(!hasPlace(state, input.clientId), "Feed", 2)
      follow(state, input.clientId, input.position, out)
      break
    case "Leave":
      state.live.delete(input.clientId)
      state.behind.delete(input.clientId)
      state.pass?.members.delete(input.clientId)
      break
    case "Begin":
      state.next = input.at
      for (const [clientId, position] of take(state.behind)) follow(state, clientId, position, out)
      break
    case "Retained":
      if (state.next === undefined || input.earliest <= state.next) break
      state.next = input.earliest
      skip(state, out)
      break
    case "BeginPass":
      beginPass(state, input.earliest, out)
      break
    case "EndPass":
      endPass(state, out)
      break
  }
  return out
}

const hasPlace = ({ behind, live, pass }: State, clientId: ClientId): boolean =>
  live.has(clientId) || behind.has(clientId) || pass?.members.has(clientId) === true

const follow = (state: State, clientId: ClientId, position: number, out: Out): void => {
  const { behind, next, pass } = state
  if (next !== undefined && position >= recentFrom(state)) return join(state, clientId, position, next, out)
  out.push({ _tag: "FellBehind", clientId })
  if (pass !== undefined && position >= (pass.last?.from ?? pass.next)) {
    pass.members.set(clientId, position)
    if (pass.last !== undefined && position < pass.next) give(pass.members, clientId, pass.last, out)
  } else behind.set(clientId, position)
  out.push({ _tag: "Wake" })
}

/** Gives a chunk, and what it has not of this client it has passed. */
const give = (place: Place, clientId: ClientId, { byClient, next }: Shared, out: Out): void => {
  place.set(clientId, next)
  out.push(byClient.get(clientId) ?? { _tag: "Passed", clientId, next })
}

// At the end

const onChunk = (state: State, chunk: Chunk, out: Out): void => {
  if (state.next === undefined || chunk.next <= state.next) return
  if (chunk.from > state.next) skip(state, out)
  invariant(chunk.from <= state.next || state.live.size === 0, "Feed", 1)
  const shared = new Shared(chunk)
  state.next = chunk.next
  keep(state, shared)
  giveAll(state.live, shared, out)
}

/** Gives a chunk to those in a place of whom it has records. */
const giveAll = (place: Place, { byClient, next }: Shared, out: Out): void => {
  for (const [clientId, records] of byClient) {
    const position = place.get(clientId)
    if (position === undefined || position >= next) continue
    place.set(clientId, next)
    out.push(records)
  }
}

const recentFrom = ({ next, recent }: State): number => recent[0]?.from ?? next ?? Infinity

/** Gives what is recent, and then what comes. */
const join = (state: State, clientId: ClientId, position: number, next: number, out: Out): void => {
  for (const shared of state.recent) {
    if (shared.next <= position) continue
    const records = shared.byClient.get(clientId)
    if (records !== undefined) out.push(records)
  }
  out.push({ _tag: "Passed", clientId, next })
  state.live.set(clientId, next)
  out.push({ _tag: "CaughtUp", clientId })
}

const keep = (state: State, shared: Shared): void => {
  const { options, recent } = state
  recent.push(shared)
  state.recent_bytes += shared.bytes
  while (recent.length > 1 && state.recent_bytes > options.recent_bytes) {
    state.recent_bytes -= recent.shift()!.bytes
  }
  invariant(recent.length === 1 || state.recent_bytes <= options.recent_bytes, "Feed", 4)
}

/** What was to be read at the end is retained no more. */
const skip = (state: State, out: Out): void => {
  state.recent = []
  state.recent_bytes = 0
  for (const [clientId] of take(state.live)) out.push({ _tag: "Gap", clientId })
}

// Behind it

const beginPass = (state: State, earliest: number, out: Out): void => {
  invariant(state.pass === undefined, "Feed", 3)
  const members: Place = new Map()
  let from = Infinity
  for (const [clientId, position] of take(state.behind)) {
    if (position < earliest) out.push({ _tag: "Gap", clientId })
    else {
      members.set(clientId, position)
      from = Math.min(from, position)
    }
  }
  if (members.size > 0) state.pass = { next: from, last: undefined, members }
}

const onPassChunk = (state: State, chunk: Chunk, out: Out): void => {
  const { pass } = state
  if (pass === undefined) return
  if (chunk.from > pass.next) skipInPass(pass.members, chunk.from, out)
  const shared = new Shared(chunk)
  pass.next = chunk.next
  pass.last = shared
  giveAll(pass.members, shared, out)
  if (pass.next >= recentFrom(state)) endPass(state, out)
}

const endPass = (state: State, out: Out): void => {
  const { pass } = state
  if (pass === undefined) return
  state.pass = undefined
  for (const [clientId, position] of pass.members) {
    out.push({ _tag: "Passed", clientId, next: pass.next })
    follow(state, clientId, Math.max(position, pass.next), out)
  }
}

const skipInPass = (members: Place, from: number, out: Out): void => {
  for (const [clientId, position] of members) {
    if (position >= from) continue
    members.delete(clientId)
    out.push({ _tag: "Gap", clientId })
  }
}

/** A chunk by client, made once for all. */
class Shared {
  readonly from: number
  readonly next: number
  readonly bytes: number
  readonly byClient = new Map<ClientId, Records & { readonly records: Array<LogItem> }>()

  constructor({ from, next, records }: Chunk) {
    this.from = from
    this.next = next
    let bytes = 0
    for (const { headers, key, offset, value } of records) {
      const seq = peekSeq(value)
      // What is none of ours the result consumers quarantine.
      if (seq === undefined) continue
      const clientId = clientIdUnsafe(key)
      const item: LogItem = { seq, value, headers, offset }
      const own = this.byClient.get(clientId)
      if (own === undefined) this.byClient.set(clientId, { _tag: "Records", clientId, records: [item], next })
      else own.records.push(item)
      bytes += value.length
    }
    this.bytes = bytes
  }
}

/** Empties a place; answers who was there. */
const take = (place: Place): ReadonlyArray<readonly [ClientId, number]> => {
  const all = [...place]
  place.clear()
  return all
}
