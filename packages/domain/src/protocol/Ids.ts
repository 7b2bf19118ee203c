/**
 * The names of things: who, which connection, which room, where in the log.
 *
 * | name | is | in keys of records, headers, frames | in keys of stores, in URLs |
 * | --- | --- | --- | --- |
 * | client, pod | 1 to 128 of some plain characters | as it is | as it is |
 * | room | 1 to 256 of any characters | as it is | as `escapeName` has it |
 * | id of an event or message, sender | 1 to 128 of any characters | as it is | never there |
 *
 * Characters are counted as UTF-16 code units, as JavaScript does. What comes from outside and is put where there is only
 * UTF-8 must be well-formed: half of a surrogate pair has no bytes there, and would come back as another name.
 *
 * Every id is branded, so that a pod is never taken for a client nor an offset for an epoch. The hot paths
 * make `Seq`s from digits they have checked themselves; everything else goes through the schemas.
 */
import { Schema } from "effect"

/** A text of this pattern, which documents of an API have too. */
const spelledAs = (pattern: RegExp) =>
  Schema.String.check(Schema.isPattern(pattern, { toJsonSchema: () => ({ pattern: pattern.source }) }))

/** A client, for life: 1 to 128 characters of `A-Za-z0-9._:@-`. It is the key of every record of that client. */
export const ClientId = spelledAs(/^[A-Za-z0-9._:@-]{1,128}$/).pipe(Schema.brand("ClientId"))
export type ClientId = typeof ClientId.Type

/** Whether a value is a client id. */
export const isClientId = Schema.is(ClientId)

/**
 * The owner of a session, where there are locks: 1 to 64 characters of `A-Za-z0-9_-`, the same for the same subject of the
 * same issuer, and nothing that tells who that is.
 */
export const Owner = spelledAs(/^[A-Za-z0-9_-]{1,64}$/).pipe(Schema.brand("Owner"))
export type Owner = typeof Owner.Type

/** Text that UTF-8 can carry, of 1 to `most` UTF-16 code units. */
export const textUpTo = (most: number) =>
  Schema.String.check(
    Schema.isBetweenLength(1, most),
    Schema.makeFilter((text) => text.isWellFormed() || "must not have half of a surrogate pair in it"),
  )

/** The most characters of a room. */
export const roomChars = 256

/** A room of the chat: any well-formed text of 1 to 256 characters. As it is, it is the key of every record of that room. */
export const RoomId = textUpTo(roomChars).pipe(Schema.brand("RoomId"))
export type RoomId = typeof RoomId.Type

/** Whether a value is the name of a room. */
export const isRoomId = Schema.is(RoomId)

/** The room that a client or a record names: text, or a number by its decimal spelling. `undefined`: it names none. */
export const roomNamed = (by: unknown): RoomId | undefined => {
  const name = typeof by === "number" && Number.isFinite(by) ? String(by) : by
  return isRoomId(name) ? name : undefined
}

/**
 * A name as it stands in keys of stores and in URLs: every character up to U+009F but `A-Za-z0-9-_.~!'()*:@` as `%` and
 * two hexadecimal digits for each of its bytes. So there is no NUL, slash, `#` or space in it, other names than these are
 * what they were, and `decodeURIComponent` gives the name back. Of 256 characters at most 1,536 bytes.
 */
export const escapeName = (name: string): string => name.replaceAll(toEscape, encodeURIComponent)

// oxlint-disable-next-line no-control-regex -- They are what has to be escaped.
const toEscape = /(?![A-Za-z0-9._:@-])[\u0000-\u009f]/g

const nonNegative = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** One connection of one client. Epochs of a client only grow, across a wiped registry too. */
export const Epoch = nonNegative.pipe(Schema.brand("Epoch"))
export type Epoch = typeof Epoch.Type

/**
 * "Everything up to here": a seq, or -1 for nothing yet. `delivered`, `acked`, `floor` and a client's `after` are
 * cursors.
 */
export const Cursor = Schema.Int.check(Schema.isGreaterThanOrEqualTo(-1)).pipe(Schema.brand("Cursor"))
export type Cursor = typeof Cursor.Type

/**
 * The offset, in the events topic, of the event or barrier that caused a record. Grows along a partition; not dense.
 * Every seq is a cursor too.
 */
export const Seq = nonNegative.pipe(Schema.brand("Cursor"), Schema.brand("Seq"))
export type Seq = typeof Seq.Type

/** The cursor before the first record. */
export const start: Cursor = Cursor.make(-1)

/** One gateway process. Fresh per process: an id is never used by two. */
export const PodId = spelledAs(/^[A-Za-z0-9._:-]{1,128}$/).pipe(Schema.brand("PodId"))
export type PodId = typeof PodId.Type

/**
 * One route of one client, from a barrier to what ends it: `RouterId` and a number that this router has used once. An id is
 * never used by two routes.
 */
export const RouteId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._:-]{1,128}$/)).pipe(Schema.brand("RouteId"))
export type RouteId = typeof RouteId.Type

/** The memory of one router, of one partition. Fresh wherever memory begins: an id is never used by two. */
export const RouterId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_:-]{1,64}$/)).pipe(Schema.brand("RouterId"))
export type RouterId = typeof RouterId.Type

/** One execution of a task by one worker. An id is never used by two. */
export const RunId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._:-]{1,128}$/)).pipe(Schema.brand("RunId"))
export type RunId = typeof RunId.Type

/** Names one event of one client; chosen by the client, or by the gateway where it has none. The handler's idempotency key. */
export const EventId = Schema.String.check(Schema.isBetweenLength(1, 128)).pipe(Schema.brand("EventId"))
export type EventId = typeof EventId.Type

/** One life of the topics. Seqs of different incarnations must not be compared. */
export const Incarnation = Schema.String.check(Schema.isBetweenLength(1, 256)).pipe(Schema.brand("Incarnation"))
export type Incarnation = typeof Incarnation.Type

/** Brands a number already known to be a non-negative safe integer: a log offset, or digits just parsed. */
export const seqUnsafe = (n: number): Seq => n as Seq

/** Brands digits just parsed from what only registries write. */
export const epochUnsafe = (n: number): Epoch => n as Epoch

/** Brands a text that was just seen to be spelled as an owner is. */
export const ownerUnsafe = (owner: string): Owner => owner as Owner

/** Brands a name that was just seen to be spelled as a pod's is. */
export const podIdUnsafe = (name: string): PodId => name as PodId

/** The `number`th route of a router. */
export const routeIdOf = (router: RouterId, number: number): RouteId => `${router}.${number}` as RouteId

/** The `number`th run of a task worker. */
export const runIdOf = (worker: string, number: number): RunId => `${worker}.${number}` as RunId

/** Brands a name that was just seen to be spelled as a run's is. */
export const runIdUnsafe = (name: string): RunId => name as RunId

/** Brands a name just read from what only routers and gateways write. */
export const routeIdUnsafe = (name: string): RouteId => name as RouteId

/**
 * Brands a record key of a topic that only our own consumers write: it was a `ClientId` when it came in by a transport.
 */
export const clientIdUnsafe = (key: string): ClientId => key as ClientId
