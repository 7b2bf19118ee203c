/**
 * kafkajs, as far as it is used here: connections with SASL and TLS, the cluster's metadata, and the codec of Kafka's
 * protocol. Its own producer and consumer are not: ours stand beside this file, on the same `Cluster` and `Broker`.
 *
 * | kafkajs 2.2 | here |
 * | --- | --- |
 * | The producer copies a batch once for each of its records, has one request per broker under way, and counts sequence numbers on after a failure (its issue 598). | `Producer.ts` |
 * | The consumer sends heartbeats from the loop that hands out records: a slow handler, or a rebalance, starves them. | `Membership.ts` has no records at all. |
 * | It may go on handing out records after `stop`, and after a revocation. | `Fetcher.ts`: a read ends in the same turn as its partition is lost. |
 * | A commit after the consumer has crashed does nothing and says nothing; one that is tried again goes out in the name of the next generation. | `Membership.commit` is sent once, with its own generation. |
 * | It ships round-robin alone: nearly all partitions move when a member joins. | `StickyAssigner.ts` |
 * | It commits "earliest" for a read that is out of range, over the group's own commit. | `Fetcher.ts` looks where the range is. |
 * | It can't read without a group. | `Fetcher.ts` does not know of groups. |
 * | Its codec makes a buffer for each record written and several objects for each one read. | `RecordBatch.ts` |
 *
 * kafkajs hands `Cluster` to custom partition assigners, which is how it is come by. Its types leave out some of
 * `Broker`; that is declared here, and looked for before it is used.
 */
import { connect as connectTcp, isIP } from "node:net"
import { connect as connectTls } from "node:tls"
import { Effect, Predicate } from "effect"
import { type Broker, type Cluster, type ISocketFactory, Kafka, logLevel, type SASLOptions } from "kafkajs"
import { KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { mendConnections } from "./Connections.ts"
import { quietIdleQueues } from "./IdleQueues.ts"
import type { Request } from "./Requests.ts"

export interface KafkaOptions {
  /** `host:port` of some brokers; the others are learnt from them. */
  readonly brokers: ReadonlyArray<string>
  /** How the brokers' logs and quotas name us. */
  readonly clientId: string
  readonly sasl?: SASLOptions | undefined
  readonly tls: boolean
  /** How connections are made: for tests that stand in between. */
  readonly socketFactory?: ISocketFactory | undefined
}

/** What the lines of kafkajs's own log go to. */
export type LogLine = (message: string, details: Readonly<Record<string, unknown>>) => void

export const makeKafka = (options: KafkaOptions, limits: KafkaLimits, log: LogLine): Kafka => {
  mendConnections()
  quietIdleQueues()
  return new Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    ssl: options.tls,
    // A copy: kafkajs writes into it, the password included.
    ...(options.sasl !== undefined && { sasl: { ...options.sasl } }),
    connectionTimeout: limits.connect_timeout_ms,
    authenticationTimeout: limits.connect_timeout_ms,
    // Those that may wait longer say so.
    requestTimeout: limits.answer_timeout_ms,
    // What fails is tried again by who asked, who knows for how long.
    retry: { retries: 1, initialRetryTime: limits.retry_min_ms, maxRetryTime: limits.retry_max_ms },
    socketFactory: options.socketFactory ?? sockets,
    // It logs whatever it also throws; what is worth a line is logged by who catches that.
    logLevel: logLevel.WARN,
    logCreator:
      () =>
      ({ log: { message, ...details } }) =>
        log(message, details),
  })
}

/** As kafkajs makes them, but without Nagle's delay: a second request does not wait for the answer to the first. */
const sockets: ISocketFactory = ({ host, onConnect, port, ssl }) => {
  const name = isIP(host) === 0 ? { servername: host } : {}
  // It is `tls` of `KafkaOptions`, whatever its type says.
  const socket = ssl ? connectTls({ host, port, ...name }, onConnect) : connectTcp({ host, port }, onConnect)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, 60_000)
  return socket
}

/** Connections of its own: one to each broker for long polls, one for everything else. Not connected yet. */
export const makeCluster = (kafka: Kafka): Cluster => {
  const clusters: Array<Cluster> = []
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
  if (cluster === undefined) throw new Error("kafkajs did not make a cluster")
  return cluster
}

const none = Buffer.alloc(0)

/** The requests that the types of kafkajs leave out, or some of what they carry. */
export interface GroupBroker {
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

export interface ProducerBroker {
  initProducerId(request: {
    readonly transactionTimeout: number
  }): Promise<{ readonly producerId: string; readonly producerEpoch: number }>
}

/** How kafkajs's requests leave: by the connection for long polls, or by the other. */
interface Sender {
  readonly connectionPool: {
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
}

export const groupBroker = (broker: Broker): Broker & GroupBroker => {
  if (
    has(broker, "joinGroup") &&
    has(broker, "syncGroup") &&
    has(broker, "heartbeat") &&
    has(broker, "leaveGroup") &&
    has(broker, "offsetCommit") &&
    has(broker, "offsetFetch")
  ) {
    return broker
  }
  throw new Error("this kafkajs has no group requests")
}

export const producerBroker = (broker: Broker): Broker & ProducerBroker => {
  if (has(broker, "initProducerId")) return broker
  throw new Error("this kafkajs has no producer ids")
}

const has = <K extends keyof GroupBroker | keyof ProducerBroker>(
  broker: Broker,
  request: K,
): broker is Broker & Pick<GroupBroker & ProducerBroker, K> =>
  request in broker && typeof Reflect.get(broker, request) === "function"

/** Sends a request of ours. `patience_ms` is how long the broker may take by what the request asks. */
export const send = async <A>(broker: Broker, request: Request<A>, patience_ms: number): Promise<A> => {
  if (!isSender(broker)) throw new Error("this kafkajs has no connection pool")
  const { apiKey, apiName, apiVersion } = request
  let answer: A | undefined
  await broker.connectionPool.send({
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

const isSender = (broker: Broker): broker is Broker & Sender =>
  Predicate.hasProperty(broker, "connectionPool") &&
  Predicate.hasProperty(broker.connectionPool, "send") &&
  typeof broker.connectionPool.send === "function"

/** Calls kafkajs. What it throws is passing, unless `isRefusal` says otherwise. */
export const call = <A>(f: () => Promise<A>): Effect.Effect<A, KafkaUnavailable> =>
  Effect.tryPromise({ try: f, catch: (cause) => new KafkaUnavailable({ cause }) })
