/**
 * The archive in DynamoDB.
 *
 * | table | key | attributes |
 * | --- | --- | --- |
 * | …-results | `key`: incarnation and client; `place`: seq | partition, timestamp, value: JSON |
 * | …-messages | `key`: incarnation and room; `place`: offset | the same |
 * | …-positions | `source`: incarnation, kind, partition | next: the offset to read on from |
 *
 * 1. The rows are written first, and the position after all of them are acknowledged. A writer that crashes in between
 *    writes the rows again.
 * 2. An existing item is kept: before a request writes items, it reads which exist. A batch has no conditions, and one
 *    request for each item would cost more than the read. Two writers at the same time read the same log, so each finds
 *    the first item of a place before later ones.
 * 3. The items that a batch request leaves unprocessed are sent with the next one, with back-off, a bounded number of
 *    times. Then the write fails, and may be retried.
 * 4. An item that is larger than DynamoDB allows is refused.
 */
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb"
import {
  BatchGetCommand,
  type BatchGetCommandInput,
  BatchWriteCommand,
  type BatchWriteCommandInput,
  GetCommand,
  PutCommand,
  QueryCommand,
} from "@aws-sdk/lib-dynamodb"
import { ArchiveUnavailable } from "@nimbus/domain/errors"
import type { Incarnation } from "@nimbus/domain/protocol"
import {
  Archive,
  type ArchiveBatch,
  type ArchivePage,
  type ArchiveQuestion,
  type ArchiveRecord,
  type ArchiveShape,
  type ArchiveSource,
} from "@nimbus/domain/services"
import { Effect, Layer, Schedule, Schema } from "effect"
import { dynamoLimits } from "../Limits.ts"
import { call, DynamoDatabase } from "./Database.ts"

const store = "dynamodb"

const make = Effect.gen(function* () {
  const database = yield* DynamoDatabase
  const unavailable = (operation: string) =>
    Effect.mapError((cause: Error) => new ArchiveUnavailable({ store, operation, cause }))
  return Archive.of({
    stores: [store],
    position: (source) => readPosition(database, source).pipe(unavailable("position")),
    write: (batch) => write(database, batch).pipe(unavailable("write")),
    page: (question) => readPage(database, question).pipe(unavailable("page")),
  } satisfies ArchiveShape)
})

/** The archive in DynamoDB. Tables are created where they are missing. */
export const layer: Layer.Layer<Archive, never, DynamoDatabase> = Layer.effect(Archive, make)

type Database = DynamoDatabase["Service"]
interface Put {
  readonly PutRequest: { readonly Item: ReturnType<typeof itemOf> }
}
type Requests = NonNullable<NonNullable<BatchWriteCommandInput["RequestItems"]>[string]>

/** A client id or a room has no slash in it. An incarnation may have one. */
const keyOf = (incarnation: Incarnation, key: string): string => `${incarnation}/${key}`
const nameOf = ({ incarnation, kind, partition }: ArchiveSource): string => `${incarnation}/${kind}/${partition}`

const decodePosition = Schema.decodeUnknownEffect(Schema.Struct({ next: Schema.Int }))

const readPosition = Effect.fnUntraced(function* ({ client, tables }: Database, source: ArchiveSource) {
  const Key = { source: nameOf(source) }
  const get = new GetCommand({ TableName: tables.positions, Key, ConsistentRead: true })
  const { Item } = yield* call((abortSignal) => client.send(get, { abortSignal }))
  return Item === undefined ? undefined : (yield* decodePosition(Item)).next
})

const write = Effect.fnUntraced(function* (database: Database, batch: ArchiveBatch) {
  const { kind } = batch.source
  const refused = batch.records.flatMap((record, index) =>
    sizeOf(batch, record) <= dynamoLimits.item_bytes ? [] : [{ index, reason: tooLarge }],
  )
  const isRefused = new Set(refused.map(({ index }) => index))
  const puts = batch.records.flatMap((record, i) =>
    isRefused.has(i) ? [] : [{ PutRequest: { Item: itemOf(batch, record) } }],
  )
  yield* Effect.forEach(slices(batch, puts), (some) => putNew(database, database.tables[kind], some), {
    concurrency: dynamoLimits.requests,
    discard: true,
  })
  yield* writePosition(database, batch)
  return refused
})

const tooLarge = `an item of DynamoDB has at most ${dynamoLimits.item_bytes} bytes`

const itemOf = (
  { source: { incarnation, partition } }: ArchiveBatch,
  { key, place, timestamp, value }: ArchiveRecord,
) => ({
  key: keyOf(incarnation, key),
  place,
  partition,
  timestamp,
  value,
})

/** The approximate size that DynamoDB counts: names and values, and a little for numbers. */
const sizeOf = ({ source }: ArchiveBatch, { key, value }: ArchiveRecord): number =>
  Buffer.byteLength(keyOf(source.incarnation, key)) + Buffer.byteLength(value) + 128

/** Splits items into requests. Large items are sent one at a time, within the size that a request may have. */
const slices = ({ records }: ArchiveBatch, puts: ReadonlyArray<Put>): ReadonlyArray<ReadonlyArray<Put>> => {
  const most = records.some(({ value }) => value.length > dynamoLimits.large_item_bytes)
    ? 1
    : dynamoLimits.request_items
  return Array.from({ length: Math.ceil(puts.length / most) }, (_, i) => puts.slice(i * most, (i + 1) * most))
}

/** The items that do not exist yet (2). */
const putNew = Effect.fnUntraced(function* (database: Database, table: string, puts: ReadonlyArray<Put>) {
  const keys = puts.map(({ PutRequest: { Item } }) => ({ key: Item.key, place: Item.place }))
  const there = new Set<string>()
  yield* find(database, table, keys, there)
  const fresh = puts.filter(({ PutRequest: { Item } }) => !there.has(placeOf(Item)))
  if (fresh.length > 0) yield* put(database, table, fresh)
})

type Keys = NonNullable<NonNullable<BatchGetCommandInput["RequestItems"]>[string]>["Keys"]

const decodeKeys = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ key: Schema.String, place: Schema.Int })))

const placeOf = ({ key, place }: { readonly key: string; readonly place: number }): string => `${place} ${key}`

/** Adds to `there` the keys that have an item. */
const find = (database: Database, table: string, keys: NonNullable<Keys>, there: Set<string>) =>
  untilProcessed(keys, (some) =>
    Effect.gen(function* () {
      const command = new BatchGetCommand({
        RequestItems: {
          [table]: {
            Keys: [...some],
            ConsistentRead: true,
            ProjectionExpression: "#key, place",
            ExpressionAttributeNames: { "#key": "key" },
          },
        },
      })
      const answer = yield* call((abortSignal) => database.client.send(command, { abortSignal }))
      for (const found of yield* decodeKeys(answer.Responses?.[table] ?? [])) there.add(placeOf(found))
      return answer.UnprocessedKeys?.[table]?.Keys ?? []
    }),
  )

const put = (database: Database, table: string, puts: Requests) =>
  untilProcessed(puts, (some) => {
    const command = new BatchWriteCommand({ RequestItems: { [table]: [...some] } })
    return Effect.map(
      call((abortSignal) => database.client.send(command, { abortSignal })),
      ({ UnprocessedItems }) => UnprocessedItems?.[table] ?? [],
    )
  })

/** Sends all items, and again those that are returned as unprocessed (3). */
const untilProcessed = <A, E>(
  all: ReadonlyArray<A>,
  sendSome: (some: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<A>, E>,
): Effect.Effect<void, E | Unprocessed> => {
  let left = all
  return Effect.suspend(() => sendSome(left)).pipe(
    Effect.flatMap((unprocessed) => {
      left = unprocessed
      return left.length === 0 ? Effect.void : Effect.fail(new Unprocessed(left.length))
    }),
    Effect.retry({ while: (error) => error instanceof Unprocessed, schedule: again }),
  )
}

const again = Schedule.min([
  Schedule.exponential(dynamoLimits.backoff_min_ms),
  Schedule.spaced(dynamoLimits.backoff_max_ms),
]).pipe(Schedule.upTo({ times: dynamoLimits.unprocessed_attempts - 1 }))

class Unprocessed extends Error {
  constructor(items: number) {
    super(`${items} items were left unprocessed ${dynamoLimits.unprocessed_attempts} times`)
  }
}

/** The position only grows. */
const writePosition = Effect.fnUntraced(function* ({ client, tables }: Database, { position, source }: ArchiveBatch) {
  const command = new PutCommand({
    TableName: tables.positions,
    Item: { source: nameOf(source), next: position },
    ConditionExpression: "attribute_not_exists(#next) OR #next < :next",
    ExpressionAttributeNames: { "#next": "next" },
    ExpressionAttributeValues: { ":next": position },
  })
  yield* call((abortSignal) => client.send(command, { abortSignal })).pipe(
    Effect.catchIf(
      (cause) => cause instanceof ConditionalCheckFailedException,
      () => Effect.void,
    ),
  )
})

const decodeRows = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ place: Schema.Int, timestamp: Schema.Int, value: Schema.String })),
)

/**
 * Uses several queries, because DynamoDB returns at most 1 MB at a time. One row more than requested shows whether
 * there are more.
 */
const readPage = Effect.fnUntraced(function* (
  { client, tables }: Database,
  { after, incarnation, key, kind, limit }: ArchiveQuestion,
): Effect.fn.Return<ArchivePage, Error> {
  const records: Array<ArchivePage["records"][number]> = []
  let bytes = 0
  let from: Record<string, unknown> | undefined = undefined
  do {
    const query: QueryCommand = new QueryCommand({
      TableName: tables[kind],
      KeyConditionExpression: "#key = :key AND place > :after",
      ExpressionAttributeNames: { "#key": "key" },
      ExpressionAttributeValues: { ":key": keyOf(incarnation, key), ":after": after },
      Limit: limit.results + 1 - records.length,
      ExclusiveStartKey: from,
      ConsistentRead: true,
    })
    const answer = yield* call((abortSignal) => client.send(query, { abortSignal }))
    for (const row of yield* decodeRows(answer.Items ?? [])) {
      bytes += Buffer.byteLength(row.value)
      if (records.length > 0 && (records.length >= limit.results || bytes > limit.bytes)) return { records, more: true }
      records.push(row)
    }
    from = answer.LastEvaluatedKey
  } while (from !== undefined)
  return { records, more: false }
})
