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
 *
 * kafkajs hands `Cluster` to custom partition assigners, which is how it is come by. Its types leave out five requests
 * of `Broker`; they are declared here, and looked for before they are used.
 */
import { connect as connectTcp, isIP } from "node:net"
import { connect as connectTls } from "node:tls"
import { Effect, Predicate } from "effect"
import { type Broker, type Cluster, type ISocketFactory, Kafka, logLevel, type SASLOptions } from "kafkajs"
import { KafkaRefused, KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"

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

export const makeKafka = (options: KafkaOptions, limits: KafkaLimits, log: LogLine): Kafka =>
  new Kafka({
    brokers: [...options.brokers],
    clientId: options.clientId,
    ssl: options.tls,
    ...(options.sasl !== undefined && { sasl: options.sasl }),
    connectionTimeout: limits.connect_timeout_ms,
    authenticationTimeout: limits.connect_timeout_ms,
    requestTimeout: limits.request_timeout_ms,
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

/** As kafkajs makes them, but without Nagle's delay: a second request does not wait for the answer to the first. */
const sockets: ISocketFactory = ({ host, onConnect, port, ssl }) => {
  const name = isIP(host) === 0 ? { servername: host } : {}
  const socket =
    // Without TLS it is absent, whatever its type says.
    typeof ssl === "object"
      ? connectTls({ host, port, ...name, ...ssl }, onConnect)
      : connectTcp({ host, port }, onConnect)
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
    readUncommitted: true,
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

/** The requests that the types of kafkajs leave out. */
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
}

export interface ProducerBroker {
  initProducerId(request: {
    readonly transactionTimeout: number
  }): Promise<{ readonly producerId: string; readonly producerEpoch: number }>
}

/** What `Broker.fetch` answers, which kafkajs leaves open. */
export interface FetchResponse {
  readonly responses: ReadonlyArray<{
    readonly topicName: string
    readonly partitions: ReadonlyArray<{ readonly partition: number; readonly messages: ReadonlyArray<FetchedMessage> }>
  }>
}

export interface FetchedMessage {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp: string
  readonly offset: string
  readonly headers?: Readonly<Record<string, Buffer | string | ReadonlyArray<Buffer | string> | undefined>>
  /** Kafka's own, of a transaction. */
  readonly isControlRecord?: boolean
}

/** What `Broker.produce` answers, which kafkajs leaves open. */
export interface ProduceResponse {
  readonly topics: ReadonlyArray<{
    readonly topicName: string
    readonly partitions: ReadonlyArray<{ readonly partition: number; readonly baseOffset: string }>
  }>
}

export const groupBroker = (broker: Broker): Broker & GroupBroker => {
  if (has(broker, "joinGroup") && has(broker, "syncGroup") && has(broker, "heartbeat") && has(broker, "leaveGroup")) {
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

/** Calls kafkajs. What it throws is passing, unless `isRefusal` says otherwise. */
export const call = <A>(f: () => Promise<A>): Effect.Effect<A, KafkaUnavailable> =>
  Effect.tryPromise({ try: f, catch: (cause) => new KafkaUnavailable({ cause }) })

/** The numbers of Kafka's protocol for what went wrong. */
export const codes = {
  offsetOutOfRange: 1,
  messageTooLarge: 10,
  recordListTooLarge: 18,
  illegalGeneration: 22,
  inconsistentGroupProtocol: 23,
  unknownMember: 25,
  invalidSessionTimeout: 26,
  rebalanceInProgress: 27,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  clusterAuthorizationFailed: 31,
  unsupportedSaslMechanism: 33,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  saslAuthenticationFailed: 58,
  unknownProducer: 59,
} as const

/** The protocol's number in what kafkajs threw, however deeply it is wrapped. */
export const codeOf = (error: unknown): number | undefined => {
  for (const cause of causesOf(error)) {
    if (Predicate.hasProperty(cause, "code") && typeof cause.code === "number") return cause.code
  }
  return undefined
}

/** An error and what it was caused by, as deep as anybody nests them. */
const causesOf = (error: unknown): ReadonlyArray<unknown> => {
  const causes = [error]
  for (let depth = 0; depth < 8; depth++) {
    const last = causes.at(-1)
    if (!Predicate.hasProperty(last, "cause") || last.cause === undefined) break
    causes.push(last.cause)
  }
  return causes
}

/** Who we are or what we may do is wrong: trying again will not help. */
export const isRefusal = (error: unknown): boolean => {
  const code = codeOf(error)
  return (
    (code !== undefined && refusals.has(code)) ||
    causesOf(error).some((cause) => cause instanceof Error && cause.name === "KafkaJSSASLAuthenticationError")
  )
}

const refusals: ReadonlySet<number> = new Set([
  codes.topicAuthorizationFailed,
  codes.groupAuthorizationFailed,
  codes.clusterAuthorizationFailed,
  codes.unsupportedSaslMechanism,
  codes.saslAuthenticationFailed,
])

/** The same error, told apart: what a correction of the settings helps against is `KafkaRefused`. */
export const orRefused =
  (brokers: ReadonlyArray<string>) =>
  (error: KafkaUnavailable): KafkaUnavailable | KafkaRefused =>
    isRefusal(error) ? new KafkaRefused({ brokers: brokers.join(","), reason: error.message }) : error
