/**
 * Which life of some topics this is: topics that are deleted and made again have the same names, and offsets of their
 * own.
 *
 * ```
 *   ids of the topics ─▶ noted: these ids?  ── yes ─▶ the incarnation that is noted with them
 *                             │ nothing noted, and records are there: topics from before ids were looked at
 *                             │                                    ─▶ the incarnation that their names make
 *                             └ otherwise: topics that are new     ─▶ one that names and ids make
 * ```
 *
 * 1. Kafka gives each topic an id that no other topic has or had (from 2.8 on, by Metadata 10). A broker that tells
 *    none leaves what there was before: cluster and names make the incarnation, and topics made again go unnoticed.
 * 2. The note is the metadata of a commit, of a group of its own, for partition 0 of the first topic. So it lies in
 *    Kafka, which forgets it together with the topic, and nothing else has to be kept. It is kept for `note_keep_ms`,
 *    and written again at each start.
 * 3. Ends are asked for before the note: a process writes the note before it writes records, so records without a note
 *    are from before there were notes. Topics that were never written to are so too where another of the installation
 *    is: one that is used for its chat alone has no events.
 * 4. Where the group may not be used, nothing is noted, and names make the incarnation, as with 1.
 */
import { createHash } from "node:crypto"
import { Incarnation } from "@nimbus/domain/protocol"
import { Effect, Option, Schema } from "effect"
import { KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { isRefusal, PartitionError } from "./Failures.ts"
import { send } from "./KafkaInternals.ts"
import { call } from "./KafkaJs.ts"
import type { Link } from "./Link.ts"
import { type Note, readNote, writeNote } from "./TopicRequests.ts"

export interface Topic {
  readonly topic: string
  /** `undefined`: the broker tells none. */
  readonly id: string | undefined
  readonly partitions: number
}

/** What is noted of some topics. `ids` is a hash of theirs. */
export interface Noted {
  readonly incarnation: Incarnation
  readonly ids: string
}

/** The decision of the picture above. `base`: what there was before ids were looked at. */
export const decide = (found: {
  readonly base: Incarnation
  readonly ids: string | undefined
  readonly noted: Noted | undefined
  readonly isEmpty: boolean
}): Incarnation => {
  const { base, ids, isEmpty, noted } = found
  if (ids === undefined) return base
  if (noted?.ids === ids) return noted.incarnation
  return noted === undefined && !isEmpty ? base : Incarnation.make(`${base}-${ids}`)
}

/** The names are hashed: an incarnation has a bound, and they need not be read out of it. */
export const baseOf = (clusterId: string, names: ReadonlyArray<string>): Incarnation =>
  Incarnation.make(`kafka-${clusterId}-${hashOf(names.toSorted())}`)

type OneOrMore<A> = readonly [A, ...ReadonlyArray<A>]

/** Of these topics, of which the first has the note. `others`: those of the installation whose life is their own. */
export const incarnationOf = Effect.fnUntraced(function* (
  link: Link,
  base: Incarnation,
  topics: OneOrMore<Topic>,
  limits: KafkaLimits,
  others: ReadonlyArray<Topic> = [],
): Effect.fn.Return<Incarnation, KafkaUnavailable> {
  const ids = idsOf(topics)
  if (ids === undefined) {
    yield* Effect.logInfo("Kafka tells no topic ids: topics that are deleted and made again go unnoticed")
    return base
  }
  const note = noteOf(topics)
  const isEmpty = yield* haveNoRecords(link, topics)
  return yield* Effect.gen(function* () {
    // Before the note: another process that starts meanwhile writes this one first, then theirs.
    const areNew = isEmpty && !(yield* isAnyFromBefore(link, others, limits))
    const incarnation = decide({ base, ids, noted: yield* read(link, note, limits), isEmpty: areNew })
    yield* write(link, note, { incarnation, ids }, limits)
    return incarnation
  }).pipe(
    Effect.catchIf(isRefusal, (error) =>
      Effect.as(
        Effect.logWarning(`topics that are deleted and made again go unnoticed: ${note.group}: ${error.message}`),
        base,
      ),
    ),
  )
})

const noteOf = (topics: OneOrMore<Topic>): Note => ({
  group: `nimbus-log-${hashOf(topics.map(({ topic }) => topic))}`,
  topic: topics[0].topic,
  partition: 0,
})

/** Rule 3, of topics with a note each. */
const isAnyFromBefore = Effect.fnUntraced(function* (link: Link, topics: ReadonlyArray<Topic>, limits: KafkaLimits) {
  for (const topic of topics) {
    if (yield* haveNoRecords(link, [topic])) continue
    if ((yield* read(link, noteOf([topic]), limits)) === undefined) return true
  }
  return false
})

const hashOf = (texts: ReadonlyArray<string>): string =>
  createHash("sha256").update(texts.join("\n")).digest("hex").slice(0, 16)

/** In the order of their names. */
const idsOf = (topics: ReadonlyArray<Topic>): string | undefined => {
  const known = topics.flatMap(({ id, topic }) => (id === undefined ? [] : [`${topic} ${id}`]))
  return known.length < topics.length ? undefined : hashOf(known.sort())
}

/** Nothing was ever written to the first of them. */
const haveNoRecords = (link: Link, [{ partitions, topic }]: OneOrMore<Topic>) => {
  const asked = Array.from({ length: partitions }, (_, partition) => ({ partition, offset: "-1" }))
  return Effect.map(
    call(() => link.cluster.fetchTopicsOffset([{ topic, partitions: asked, fromBeginning: false }])),
    (ends) => ends.every(({ partitions }) => partitions.every(({ offset }) => Number(offset) === 0)),
  )
}

const NotedText = Schema.fromJsonString(Schema.Struct({ incarnation: Incarnation, ids: Schema.String }))
const decodeNoted = Schema.decodeUnknownOption(NotedText)
const encodeNoted = Schema.encodeSync(NotedText)

const read = Effect.fnUntraced(function* (link: Link, note: Note, limits: KafkaLimits) {
  const broker = yield* link.coordinator(note.group)
  const { code, text } = yield* call(() => send(broker, readNote(note), limits.question_timeout_ms))
  if (code !== 0) return yield* new KafkaUnavailable({ cause: new PartitionError(code) })
  return Option.getOrUndefined(decodeNoted(text))
})

const write = Effect.fnUntraced(function* (link: Link, note: Note, noted: Noted, limits: KafkaLimits) {
  const broker = yield* link.coordinator(note.group)
  const request = writeNote(note, encodeNoted(noted), limits.note_keep_ms)
  const code = yield* call(() => send(broker, request, limits.question_timeout_ms))
  if (code !== 0) return yield* new KafkaUnavailable({ cause: new PartitionError(code) })
})
