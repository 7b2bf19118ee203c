/**
 * A client of DynamoDB, which is closed with the scope, and the tables of the archive, which are created if they are
 * missing.
 */
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  DynamoDBClient,
  DynamoDBServiceException,
  ResourceInUseException,
  ResourceNotFoundException,
} from "@aws-sdk/client-dynamodb"
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb"
import { Context, Effect, Layer, Schedule, type Scope } from "effect"
import { DynamoRefused, DynamoUnavailable } from "../Errors.ts"
import { dynamoLimits } from "../Limits.ts"
import { untilReachable } from "../Reachable.ts"
import { config, type DynamoSettings, where } from "./Settings.ts"

export interface Tables {
  readonly results: string
  readonly messages: string
  readonly positions: string
}

/** The client of this process for DynamoDB. */
export class DynamoDatabase extends Context.Service<
  DynamoDatabase,
  {
    readonly client: DynamoDBDocumentClient
    readonly tables: Tables
  }
>()("@nimbus/adapters/dynamodb/DynamoDatabase") {
  static readonly layerWith = (settings: DynamoSettings) => Layer.effect(DynamoDatabase, make(settings))
  /** Configured by `NIMBUS_DYNAMODB_ENDPOINT` and the related settings. */
  static readonly layer = Layer.unwrap(Effect.map(config, (settings) => DynamoDatabase.layerWith(settings)))
}

const make = Effect.fn("DynamoDatabase.make")(function* (
  settings: DynamoSettings,
): Effect.fn.Return<DynamoDatabase["Service"], DynamoRefused | DynamoUnavailable, Scope.Scope> {
  const { endpoint, prefix, region } = settings
  const client = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new DynamoDBClient({
          ...(endpoint !== undefined && { endpoint }),
          ...(region !== undefined && { region }),
          maxAttempts: dynamoLimits.attempts,
          requestHandler: {
            connectionTimeout: dynamoLimits.connect_timeout_ms,
            requestTimeout: dynamoLimits.request_timeout_ms,
          },
        }),
    ),
    (client) => Effect.sync(() => client.destroy()),
  )
  const tables = { results: `${prefix}-results`, messages: `${prefix}-messages`, positions: `${prefix}-positions` }
  const keyed = { HASH: { key: "S" }, RANGE: { place: "N" } } as const
  yield* untilReachable(
    { name: "DynamoDB", at: where(settings), service: "dynamodb-local" },
    Effect.forEach(
      [
        describe(tables.results, keyed),
        describe(tables.messages, keyed),
        describe(tables.positions, { HASH: { source: "S" } }),
      ],
      (table) => makeTable(client, table),
      { discard: true },
    ).pipe(Effect.mapError((cause) => failureOf(settings, cause))),
    ({ _tag }) => _tag === "DynamoUnavailable",
  )
  return { client: DynamoDBDocumentClient.from(client), tables }
})

type Keys = Partial<Record<"HASH" | "RANGE", Readonly<Record<string, "S" | "N">>>>

const describe = (TableName: string, keys: Keys): CreateTableCommandInput => {
  const all = (["HASH", "RANGE"] as const).flatMap((KeyType) =>
    Object.entries(keys[KeyType] ?? {}).map(([AttributeName, AttributeType]) => ({
      AttributeName,
      AttributeType,
      KeyType,
    })),
  )
  return {
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    KeySchema: all.map(({ AttributeName, KeyType }) => ({ AttributeName, KeyType })),
    AttributeDefinitions: all.map(({ AttributeName, AttributeType }) => ({ AttributeName, AttributeType })),
  }
}

/** The first process creates the table. All processes wait until it can be used. */
const makeTable = Effect.fnUntraced(function* (client: DynamoDBClient, table: CreateTableCommandInput) {
  const { TableName } = table
  const status = call(() => client.send(new DescribeTableCommand({ TableName }))).pipe(
    Effect.map(({ Table }) => Table?.TableStatus),
    Effect.catchIf(
      (cause) => cause instanceof ResourceNotFoundException,
      () => Effect.succeed("none" as const),
    ),
  )
  if ((yield* status) === "none") {
    yield* Effect.logInfo(`creating the table ${TableName}`)
    yield* call(() => client.send(new CreateTableCommand(table))).pipe(
      Effect.catchIf(
        (cause) => cause instanceof ResourceInUseException,
        () => Effect.void,
      ),
    )
  }
  yield* Effect.repeat(status, {
    until: (status) => status === "ACTIVE" || status === "UPDATING",
    schedule: Schedule.spaced(dynamoLimits.table_poll_ms),
  })
})

/** A request that is aborted with its fiber. */
export const call = <A>(send: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, Error> =>
  Effect.tryPromise({
    try: send,
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause))),
  })

const failureOf = (settings: DynamoSettings, cause: Error): DynamoRefused | DynamoUnavailable =>
  isRefusal(cause)
    ? new DynamoRefused({ address: where(settings), reason: cause.message })
    : new DynamoUnavailable({ cause })

/** Permanent errors: no credentials, no region, no permission, an invalid request. */
const isRefusal = (cause: Error): boolean => {
  if (!(cause instanceof DynamoDBServiceException))
    return /Credentials|Region is missing/i.test(`${cause.name} ${cause.message}`)
  return cause.$fault === "client" && cause.$retryable === undefined && !/Throttl|LimitExceeded/.test(cause.name)
}
