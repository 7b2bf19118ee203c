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
 * What is used of it beyond its documented calls is in `KafkaInternals`, and in no other file.
 */
import { connect as connectTcp, isIP } from "node:net"
import { connect as connectTls } from "node:tls"
import { Effect } from "effect"
import { type Admin, type ISocketFactory, Kafka, logLevel, type SASLOptions } from "kafkajs"
import { type KafkaClientUnfit, KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { mendConnections } from "./Connections.ts"
import { type KafkaCluster, loadInternals, makeCluster } from "./KafkaInternals.ts"

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

/** What connects to the brokers. Nothing is connected yet. */
export interface KafkaClient {
  readonly admin: () => Admin
  /** Connections of its own: one to each broker for long polls, one for everything else. */
  readonly cluster: () => KafkaCluster
}

export const makeKafka = (
  options: KafkaOptions,
  limits: KafkaLimits,
  log: LogLine,
): Effect.Effect<KafkaClient, KafkaClientUnfit> =>
  Effect.map(loadInternals(), (internals) => {
    mendConnections(internals)
    const kafka = newKafka(options, limits, log)
    return { admin: () => kafka.admin(), cluster: () => makeCluster(kafka, internals) }
  })

const newKafka = (options: KafkaOptions, limits: KafkaLimits, log: LogLine): Kafka =>
  new Kafka({
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

/** As kafkajs makes them, but without Nagle's delay: a second request does not wait for the answer to the first. */
const sockets: ISocketFactory = ({ host, onConnect, port, ssl }) => {
  const name = isIP(host) === 0 ? { servername: host } : {}
  // It is `tls` of `KafkaOptions`, whatever its type says.
  const socket = ssl ? connectTls({ host, port, ...name }, onConnect) : connectTcp({ host, port }, onConnect)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, 60_000)
  return socket
}

/** Calls kafkajs. What it throws is passing, unless `isRefusal` says otherwise. */
export const call = <A>(f: () => Promise<A>): Effect.Effect<A, KafkaUnavailable> =>
  Effect.tryPromise({ try: f, catch: (cause) => new KafkaUnavailable({ cause }) })
