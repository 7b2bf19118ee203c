/**
 * What we use of kafkajs beyond its documented calls. This is the only file that reaches into it: everything else takes
 * what is typed here, or what kafkajs exports.
 *
 * | inside of kafkajs 2.2.4 | what for | why no documented call does it |
 * | --- | --- | --- |
 * | `Cluster`, from the hook for partition assigners | metadata, leaders, coordinators and connections | kafkajs makes one for each producer and consumer, and hands it to assigners alone; our own producer and consumer stand on it |
 * | `Broker`: group requests and producer ids | `Membership`, `Offsets`, `Producer` | the types leave out most of them, and the metadata of commits |
 * | `Broker.versions` | topic ids, where a broker has them | a documented call would ask the broker again |
 * | `ConnectionPool.send` | requests of our own codec: `Requests`, `TopicRequests` | kafkajs sends only the requests of its own codec |
 * | `Connection`, patched | `Connections` has the faults that are mended | there are no options for them |
 * | `RequestQueue`, patched | an idle connection sets no timer each millisecond | the same |
 * | the classes of errors | what a connection failed of | ES modules cannot import them by name |
 *
 * The version is pinned, and what is typed here is looked for at start: a kafkajs that lacks some of it ends the start with
 * `KafkaClientUnfit`, which names what is missing. How it behaves is tested: `KafkaInternals.test.ts` sends over a socket,
 * `Connections.integration.verify.test.ts` disturbs each kind of request.
 */
import { createRequire } from "node:module"
import { Effect, Predicate } from "effect"
import type { Broker, Cluster, Kafka } from "kafkajs"
import { KafkaClientUnfit } from "../Errors.ts"
import { wantedVersion } from "../Libraries.ts"
import type { Request } from "./Requests.ts"

/** The requests that the types of kafkajs leave out, or some of what they carry. */
interface BrokerRequests {
  /** By the numbers of requests, what the broker knows; null before it is connected. */
  readonly versions: Readonly<Record<number, { readonly maxVersion: number }>> | null
  readonly connectionPool: ConnectionPool
  initProducerId(request: {
    readonly transactionTimeout: number
  }): Promise<{ readonly producerId: string; readonly producerEpoch: number }>
  joinGroup(request: {
    readonly groupId: string
    readonly sessionTimeout: number
    readonly rebalanceTimeout: number
    /** Empty for a new member. */
    readonly memberId: string
    readonly groupProtocols: ReadonlyArray<{ readonly name: string; readonly metadata: Buffer }>
  }): Promise<{
    readonly generationId: number
    readonly leaderId: string
    readonly memberId: string
    /** All of them for the leader, none for the others. */
    readonly members: ReadonlyArray<{ readonly memberId: string; readonly memberMetadata: Buffer }>
  }>
  syncGroup(request: {
    readonly groupId: string
    readonly generationId: number
    readonly memberId: string
    readonly groupAssignment: ReadonlyArray<{ readonly memberId: string; readonly memberAssignment: Buffer }>
  }): Promise<{ readonly memberAssignment: Buffer }>
  heartbeat(request: {
    readonly groupId: string
    readonly groupGenerationId: number
    readonly memberId: string
  }): Promise<unknown>
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>
  offsetCommit(request: {
    readonly groupId: string
    readonly groupGenerationId: number
    readonly memberId: string
    readonly topics: ReadonlyArray<TopicCommits<string>>
  }): Promise<unknown>
  offsetFetch(request: {
    readonly groupId: string
    readonly topics: ReadonlyArray<{
      readonly topic: string
      readonly partitions: ReadonlyArray<{ readonly partition: number }>
    }>
  }): Promise<{ readonly responses: ReadonlyArray<TopicCommits<string | null>> }>
}

export interface TopicCommits<M> {
  readonly topic: string
  readonly partitions: ReadonlyArray<{ readonly partition: number; readonly offset: string; readonly metadata: M }>
}

/** A broker, with the requests that we send. */
export type KafkaBroker = BrokerRequests & Pick<Broker, "metadata">

/** The documented calls of a cluster that we use. Those that find a broker return one with all of our requests. */
export interface KafkaCluster extends Pick<
  Cluster,
  | "addMultipleTargetTopics"
  | "connect"
  | "disconnect"
  | "fetchTopicsOffset"
  | "findGroupCoordinatorMetadata"
  | "findTopicPartitionMetadata"
  | "isConnected"
  | "refreshMetadata"
> {
  findBroker(node: { nodeId: string }): Promise<KafkaBroker>
  findControllerBroker(): Promise<KafkaBroker>
  findGroupCoordinator(group: { groupId: string }): Promise<KafkaBroker>
}

/** How kafkajs's requests leave: by the connection for long polls, or by the other. */
interface ConnectionPool {
  send(protocol: {
    readonly request: {
      readonly apiKey: number
      readonly apiVersion: number
      readonly apiName: string
      /** Takes for an encoder what has its buffer by two names. */
      readonly encode: () => Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>
    }
    readonly response: {
      readonly decode: (answer: Buffer) => Promise<Buffer>
      readonly parse: (answer: Buffer) => Promise<unknown>
    }
    /** Kept to only if it is longer than that for all requests. */
    readonly requestTimeout: number
  }): Promise<unknown>
}

/** One connection to a broker, which is made anew after each loss. */
export interface Connection {
  readonly requestQueue: Pick<RequestQueue, "rejectAll" | "destroy">
  /** Undefined until it is made for the first time. */
  readonly socket: { destroy(error?: Error): unknown } | undefined
  authenticatedAt: unknown
  connectionStatus: string
  chunks: Array<Buffer>
  bytesBuffered: number
  bytesNeeded: number
  connect(): Promise<boolean>
  disconnect(): Promise<boolean>
  authenticate(): Promise<void>
  send(request: unknown): Promise<unknown>
}

/** What a connection was asked, and is to be asked. */
export interface RequestQueue {
  readonly pending: ReadonlyArray<unknown>
  rejectAll(error: Error): void
  destroy(): void
  scheduleCheckPendingRequests(): void
}

interface ClassOf<A> extends Function {
  readonly prototype: A
}

type ErrorClass = new (message: string) => Error

export interface KafkaInternals {
  readonly Cluster: ClassOf<KafkaCluster>
  readonly Broker: ClassOf<KafkaBroker>
  readonly ConnectionPool: ClassOf<ConnectionPool>
  readonly Connection: ClassOf<Connection>
  readonly RequestQueue: ClassOf<RequestQueue>
  readonly errors: {
    readonly KafkaJSConnectionError: ErrorClass
    readonly KafkaJSRequestTimeoutError: ErrorClass
    readonly KafkaJSSASLAuthenticationError: ErrorClass
  }
}

type Classes = Omit<KafkaInternals, "errors">

/** Of each member whether it is a method, or how it is in an object that is new. So no member can be forgotten. */
type Members<A> = {
  readonly [K in keyof A]-?: A[K] extends (...args: never) => unknown ? "method" : (initial: unknown) => boolean
}

const method = "method"
const isEmpty = (initial: unknown): boolean => Array.isArray(initial) && initial.length === 0
const is = (expected: unknown) => (initial: unknown) => initial === expected

/** Of an answer's length, which stands before it. */
export const length_bytes = 4

/** What each class must have. The paths are below kafkajs's `src`. */
export const contract: {
  readonly [K in keyof Classes]: { readonly path: string; readonly members: Members<Classes[K]["prototype"]> }
} = {
  Cluster: {
    path: "cluster/index.js",
    members: {
      addMultipleTargetTopics: method,
      connect: method,
      disconnect: method,
      fetchTopicsOffset: method,
      findBroker: method,
      findControllerBroker: method,
      findGroupCoordinator: method,
      findGroupCoordinatorMetadata: method,
      findTopicPartitionMetadata: method,
      isConnected: method,
      refreshMetadata: method,
    },
  },
  Broker: {
    path: "broker/index.js",
    members: {
      connectionPool: (initial) => initial === sample.connectionPool,
      heartbeat: method,
      initProducerId: method,
      joinGroup: method,
      leaveGroup: method,
      metadata: method,
      offsetCommit: method,
      offsetFetch: method,
      syncGroup: method,
      versions: is(null),
    },
  },
  ConnectionPool: { path: "network/connectionPool.js", members: { send: method } },
  Connection: {
    path: "network/connection.js",
    members: {
      authenticate: method,
      authenticatedAt: is(null),
      bytesBuffered: is(0),
      bytesNeeded: is(length_bytes),
      chunks: isEmpty,
      connect: method,
      connectionStatus: is("disconnected"),
      disconnect: method,
      requestQueue: (initial) =>
        Predicate.hasProperty(initial, "rejectAll") && Predicate.hasProperty(initial, "destroy"),
      send: method,
      socket: is(undefined),
    },
  },
  RequestQueue: {
    path: "network/requestQueue/index.js",
    members: { destroy: method, pending: isEmpty, rejectAll: method, scheduleCheckPendingRequests: method },
  },
}

export const errorNames = [
  "KafkaJSConnectionError",
  "KafkaJSRequestTimeoutError",
  "KafkaJSSASLAuthenticationError",
] as const satisfies ReadonlyArray<keyof KafkaInternals["errors"]>

/** Reads a module of kafkajs, by its path below `src`. */
export type ReadModule = (path: string) => unknown

const require = createRequire(import.meta.url)

export const readModule: ReadModule = (path) => require(`kafkajs/src/${path}`)

/** Looks for all that is needed. An application gets a fitting kafkajs by the version that this package names. */
export const loadInternals = (read: ReadModule = readModule): Effect.Effect<KafkaInternals, KafkaClientUnfit> =>
  Effect.suspend(() => {
    const found = Object.fromEntries(
      [
        ...Object.entries(contract).map(([name, { path }]) => [name, path] as const),
        ["errors", "errors.js"] as const,
      ].map(([name, path]) => [name, readOr(read, path)]),
    )
    return isComplete(found)
      ? Effect.succeed(found)
      : Effect.fail(new KafkaClientUnfit({ lacks: lacksOf(found), wanted: wantedVersion("kafkajs") }))
  })

/** A module that is not there lacks all of its members. */
const readOr = (read: ReadModule, path: string): unknown => {
  try {
    return read(path)
  } catch {
    return undefined
  }
}

type Found = Readonly<Record<string, unknown>>

const isComplete = (found: Found): found is Found & KafkaInternals => lacksOf(found).length === 0

const lacksOf = (found: Found): ReadonlyArray<string> => [
  ...Object.entries(contract).flatMap(([name, { members }]) =>
    membersMissing(found[name], members).map((one) => `${name}.${one}`),
  ),
  ...errorNames.filter((name) => !Predicate.hasProperty(found["errors"], name) || !isClass(found["errors"][name])),
]

const membersMissing = (
  found: unknown,
  members: Readonly<Record<string, "method" | ((initial: unknown) => boolean)>>,
): ReadonlyArray<string> => {
  const all = Object.entries(members)
  if (!isClass(found)) return all.map(([name]) => name)
  const fields = all.some(([, member]) => member !== method) ? initialOf(found) : {}
  return all.flatMap(([name, member]) => {
    const isThere =
      member === method ? typeof Reflect.get(found.prototype, name) === "function" : member(Reflect.get(fields, name))
    return isThere ? [] : [name]
  })
}

const isClass = (u: unknown): u is (new (options: unknown) => object) & { readonly prototype: object } =>
  typeof u === "function" && Predicate.isObject(u.prototype)

const initialOf = (found: new (options: unknown) => object): object => {
  try {
    return new found(sample)
  } catch {
    return {}
  }
}

const quiet = { namespace: () => quiet, debug: () => {}, warn: () => {}, error: () => {} }

/** What an object is made of to see its fields. It connects to nothing. */
const sample = { host: "", port: 0, logger: quiet, requestTimeout: 1, connectionPool: {} }

/** Connections of its own: one to each broker for long polls, one for everything else. Not connected yet. */
export const makeCluster = (kafka: Kafka, { Cluster }: KafkaInternals): KafkaCluster => {
  const clusters: Array<unknown> = []
  kafka.consumer({
    groupId: "never joined",
    allowAutoTopicCreation: false,
    // As records are fetched: where the log ends is asked for in the same terms.
    readUncommitted: false,
    partitionAssigners: [
      ({ cluster }) => {
        clusters.push(cluster)
        return { name: "none", version: 0, assign: async () => [], protocol: () => ({ name: "none", metadata: none }) }
      },
    ],
  })
  const [cluster] = clusters
  if (cluster instanceof Cluster) return cluster
  throw new Error("kafkajs did not hand its cluster to a partition assigner")
}

const none = Buffer.alloc(0)

/** Sends a request of ours. `patience_ms` is how long the broker may take by what the request asks. */
export const send = async <A>(
  { connectionPool }: Pick<KafkaBroker, "connectionPool">,
  request: Request<A>,
  patience_ms: number,
): Promise<A> => {
  const { apiKey, apiName, apiVersion } = request
  let answer: A | undefined
  await connectionPool.send({
    request: {
      apiKey,
      apiVersion,
      apiName,
      encode: async () => {
        const buffer = request.body()
        return { buf: buffer, buffer }
      },
    },
    response: {
      decode: async (bytes) => bytes,
      parse: async (bytes) => {
        answer = request.read(bytes)
      },
    },
    requestTimeout: patience_ms,
  })
  if (answer === undefined) throw new Error(`kafkajs did not wait for the answer to ${apiName}`)
  return answer
}
