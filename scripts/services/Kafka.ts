/**
 * One Kafka broker that is its own controller (KRaft), from the jars of Maven, without any script of Kafka's.
 *
 * Beside the plain listener there is one with SASL and one with SASL over TLS, by a certificate that is its own authority.
 * User `nimbus`, password `secret`, by PLAIN and by SCRAM. Topics are not created by use. What clusters wait for is turned
 * off, or is short: a group's first rebalance starts at once, and compaction soon.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { makeCertificate } from "./Certificate.ts"
import type { Plan } from "./Service.ts"
import { ask, findProgram, run } from "./Tools.ts"

export interface KafkaPorts {
  readonly plain: number
  readonly sasl: number
  readonly tls: number
  readonly controller: number
}

/** A further plain listener: who comes by it is told `tells` as the broker's port, where a proxy stands. */
export interface Listener {
  readonly listens: number
  readonly tells: number
}

/** A broker of several, each of which has all records. */
export interface ClusterMember {
  readonly clusterId: string
  readonly nodeId: number
  /** The controllers' ports, in the order of node ids from 1. */
  readonly controllers: ReadonlyArray<number>
}

/** The jars, outside of the repository: other clones use them too. */
export const jars = join(
  process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
  "nimbus-services",
  "kafka_2.13-4.1.1",
)

export const missing = (): string | undefined => {
  for (const program of ["java", "openssl"]) {
    if (findProgram(program) === undefined) return `${program} is not installed`
  }
  return existsSync(jars) ? undefined : `the jars of Kafka are not in ${jars}`
}

export const plan = (
  directory: string,
  ports: KafkaPorts,
  member: ClusterMember = { clusterId: newClusterId(), nodeId: 1, controllers: [ports.controller] },
  listeners: ReadonlyArray<Listener> = [],
): Plan => {
  const java = findProgram("java") ?? "java"
  const settings = join(directory, "server.properties")
  const log4j = join(directory, "log4j2.properties")
  const certificate = join(directory, "certificate.pem")
  // Several at once have less, and start sooner by compiling less.
  const size = isAlone(member) ? ["-Xms256m", "-Xmx384m"] : ["-Xms128m", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
  const options = [...size, "-XX:+UseSerialGC", `-Dlog4j2.configurationFile=${log4j}`]
  const classPath = ["-cp", join(jars, "*")]
  return {
    name: "kafka",
    address: `127.0.0.1:${ports.plain}`,
    environment: {
      NIMBUS_KAFKA_BROKERS: `127.0.0.1:${ports.plain}`,
      // Not settings of ours: for the tests of SASL and TLS.
      NIMBUS_TEST_KAFKA_SASL_BROKERS: `127.0.0.1:${ports.sasl}`,
      NIMBUS_TEST_KAFKA_TLS_BROKERS: `127.0.0.1:${ports.tls}`,
      NIMBUS_TEST_KAFKA_CERTIFICATE: certificate,
    },
    command: java,
    args: [...options, ...classPath, "kafka.Kafka", settings],
    stop_signal: "SIGTERM",
    prepare: async () => {
      writeFileSync(
        settings,
        properties({ ...broker(directory, ports, member), ...(listeners.length > 0 && behind(ports, listeners)) }),
      )
      writeFileSync(log4j, properties(logging))
      await makeCertificate(certificate, keystore(directory))
      appendFileSync(keystore(directory), readFileSync(certificate))
      const users = mechanisms.flatMap((mechanism) => ["--add-scram", `${mechanism}=[name=nimbus,password=secret]`])
      const format = ["kafka.tools.StorageTool", "format", "-t", member.clusterId, "-c", settings, ...users]
      await run(java, ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", ...classPath, ...format], {
        timeout_ms: 60_000,
      })
    },
    // A broker answers only once it may serve.
    isReady: async () => (await ask(ports.plain, apiVersionsRequest)) !== undefined,
  }
}

const mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512"]

/** The key, and the certificate after it. */
const keystore = (directory: string): string => join(directory, "keystore.pem")

const isAlone = ({ controllers }: ClusterMember): boolean => controllers.length === 1

const broker = (
  directory: string,
  { controller, plain, sasl, tls }: KafkaPorts,
  member: ClusterMember,
): Readonly<Record<string, string>> => ({
  "process.roles": "broker,controller",
  "node.id": `${member.nodeId}`,
  "controller.quorum.voters": member.controllers.map((port, i) => `${i + 1}@127.0.0.1:${port}`).join(),
  "controller.listener.names": "CONTROLLER",
  "listener.security.protocol.map": protocols,
  listeners: [`PLAINTEXT://127.0.0.1:${plain}`, `SASL://127.0.0.1:${sasl}`, `TLS://127.0.0.1:${tls}`]
    .concat(`CONTROLLER://127.0.0.1:${controller}`)
    .join(),
  "inter.broker.listener.name": "PLAINTEXT",
  "sasl.enabled.mechanisms": ["PLAIN", ...mechanisms].join(),
  ...Object.fromEntries(["sasl", "tls"].flatMap(logins)),
  "ssl.keystore.type": "PEM",
  "ssl.keystore.location": keystore(directory),
  "log.dirs": join(directory, "data"),
  "num.network.threads": "2",
  "num.io.threads": "4",
  "auto.create.topics.enable": "false",
  "num.partitions": "4",
  "default.replication.factor": `${member.controllers.length}`,
  "offsets.topic.replication.factor": `${member.controllers.length}`,
  "offsets.topic.num.partitions": "4",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.num.partitions": "1",
  "transaction.state.log.min.isr": "1",
  "share.coordinator.state.topic.replication.factor": "1",
  "share.coordinator.state.topic.min.isr": "1",
  "group.initial.rebalance.delay.ms": "0",
  "group.min.session.timeout.ms": "1000",
  "log.retention.check.interval.ms": "1000",
  "log.cleaner.backoff.ms": "500",
  "log.cleaner.dedupe.buffer.size": "8388608",
  "controlled.shutdown.max.retries": "1",
  ...(!isAlone(member) && among),
})

/** The listeners with those that a proxy stands before. Clients by PLAINTEXT are still told its own port. */
const behind = ({ controller, plain, sasl, tls }: KafkaPorts, listeners: ReadonlyArray<Listener>) => {
  const own = [`PLAINTEXT://127.0.0.1:${plain}`, `SASL://127.0.0.1:${sasl}`, `TLS://127.0.0.1:${tls}`]
  const all = (port: (listener: Listener) => number) => [
    ...own,
    ...listeners.map((listener, i) => `LISTENER${i}://127.0.0.1:${port(listener)}`),
  ]
  return {
    listeners: [...all(({ listens }) => listens), `CONTROLLER://127.0.0.1:${controller}`].join(),
    "advertised.listeners": all(({ tells }) => tells).join(),
    "listener.security.protocol.map": [protocols, ...listeners.map((_, i) => `LISTENER${i}:PLAINTEXT`)].join(),
  }
}

const protocols = "PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT"

/** Of one listener. */
const logins = (listener: string): ReadonlyArray<readonly [string, string]> => {
  const login = (mechanism: string) => `listener.name.${listener}.${mechanism.toLowerCase()}.sasl.jaas.config`
  const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_nimbus="secret";'
  return [[login("PLAIN"), plain], ...mechanisms.map((mechanism) => [login(mechanism), scram] as const)]
}

/** One of several may be gone; the others soon take over from it, and give back when it has returned. */
const among = {
  "min.insync.replicas": "2",
  "broker.session.timeout.ms": "2000",
  "broker.heartbeat.interval.ms": "500",
  "leader.imbalance.check.interval.seconds": "2",
}

const logging = {
  "rootLogger.level": "WARN",
  "rootLogger.appenderRef.out.ref": "out",
  "appender.out.type": "Console",
  "appender.out.name": "out",
  "appender.out.layout.type": "PatternLayout",
  "appender.out.layout.pattern": "%d %p %m (%c{1})%n",
}

const properties = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("")

/** As Kafka writes a random UUID. One that begins with a dash would be taken for an option. */
export const newClusterId = (): string =>
  `n${Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url")}`.slice(0, 22)

/** ApiVersions v0, correlation id 1, client id null. */
const apiVersionsRequest = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])
