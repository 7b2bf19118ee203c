/**
 * The processes of a cluster read all their settings before they connect to anything: a wrong value is told at once,
 * in one line, while Kafka and Redis are away. These tests need no service, for none must be asked.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Effect, Exit } from "effect"
import * as Cluster from "../packages/adapters/src/cluster.ts"
import * as Locks from "../packages/adapters/src/locks.ts"
import { httpHandlersConfig } from "../packages/adapters/src/http/index.ts"
import { Failure, Logs, Shutdown, Telemetry } from "../packages/adapters/src/process/index.ts"
import { Gateway } from "../packages/gateway/src/index.ts"
import { modulePath } from "../packages/nimbus/src/EnvironmentHandlers.ts"
import * as Health from "../packages/pipeline/src/Health.ts"
import { EventConsumer, Pipeline } from "../packages/pipeline/src/index.ts"

const root = join(import.meta.dirname, "..")

/** What each process reads. */
const settings: Readonly<Record<string, Config.Config<unknown>>> = {
  gateway: Config.all([Cluster.config, Gateway.config, Locks.config, Logs.config, Shutdown.config, Telemetry.config]),
  pipeline: Config.all([
    Cluster.config,
    EventConsumer.config,
    Pipeline.config,
    Pipeline.settings,
    Health.config,
    httpHandlersConfig,
    modulePath,
    Logs.config,
    Shutdown.config,
    Telemetry.config,
  ]),
}
const roles = Object.keys(settings)

/** A value that each setting must not have. */
const wrong: Readonly<Record<string, string>> = {
  NIMBUS_ADMIN_OIDC_CLIENT_ID: "the page",
  NIMBUS_ADMIN_TOKEN: "too short",
  NIMBUS_ADMIN_TOKENS: "ops=king:0123456789abcdef",
  NIMBUS_AUTH_AUDIENCE: "a,,b",
  NIMBUS_AUTH_CLAIMS: ",",
  NIMBUS_AUTH_CLIENT_CLAIM: " ",
  NIMBUS_AUTH_HOOK_SECRET: "whsec_short",
  NIMBUS_AUTH_JWKS: "http://login.example/jwks",
  NIMBUS_AUTH_PUBLIC_KEY: "-----BEGIN PRIVATE KEY-----",
  NIMBUS_AUTH_RULES: " ",
  NIMBUS_AUTH_SECRET: "short",
  NIMBUS_CHAT_MESSAGES_PER_SECOND: "0",
  NIMBUS_CHAT_LISTEN_EVENT: "offset",
  NIMBUS_CHAT_MESSAGE_BYTES: "1.5",
  NIMBUS_CHAT_OPEN: "perhaps",
  NIMBUS_CHAT_SEND_EVENT: "disconnect",
  NIMBUS_CORS_ORIGINS: "here",
  NIMBUS_CONNECTIONS_PER_ADDRESS: "0",
  NIMBUS_CONNECTIONS_PER_SUBJECT: "0",
  NIMBUS_FRAMES_PER_SUBJECT: "0",
  NIMBUS_BYTES_PER_SUBJECT: "1 MiB",
  NIMBUS_ROOMS_PER_SUBJECT: "-1",
  NIMBUS_MAIL_BYTES_PER_SENDER: "0",
  NIMBUS_NEW_IDS_PER_SUBJECT: "many",
  NIMBUS_DEDUPE_RECORDS: "0",
  NIMBUS_DYNAMODB_ENDPOINT: "here",
  NIMBUS_DYNAMODB_PREFIX: "a b",
  NIMBUS_EVENTS_PER_SECOND: "many",
  NIMBUS_FAILURES_PER_ADDRESS: "none",
  NIMBUS_FRAME_BYTES: "-1",
  NIMBUS_GATEWAY_FRAMES_PER_SECOND: "0",
  NIMBUS_GRPC_JOURNEY: "perhaps",
  NIMBUS_GRPC_REFLECTION: "perhaps",
  NIMBUS_HANDLERS_HTTP: "here",
  NIMBUS_HANDLERS_HTTP_SECRET: "whsec_short",
  NIMBUS_HOSTS: "http://here",
  NIMBUS_HTTP_KEEPALIVE: "10 millis",
  NIMBUS_HTTP_PORT: "70000",
  NIMBUS_IDLE_DAYS: "0",
  NIMBUS_IDLE_TIMEOUT: "1 milli",
  NIMBUS_INSECURE: "perhaps",
  NIMBUS_JOURNEYS_PER_SECOND: "-1",
  NIMBUS_KAFKA_AUDIT_TOPIC: "a;b",
  NIMBUS_KAFKA_BROKERS: "here",
  NIMBUS_KAFKA_CHATS_TOPIC: "a/b",
  NIMBUS_KAFKA_CREATE_TOPICS: "perhaps",
  NIMBUS_KAFKA_DLQ_TOPIC: "dlq!",
  NIMBUS_KAFKA_EVENTS_TOPIC: " ",
  NIMBUS_KAFKA_JOURNEY_TOPIC: "ü",
  NIMBUS_KAFKA_MESSAGES_TOPIC: "a:b",
  NIMBUS_KAFKA_QUARANTINE_TOPIC: "a b",
  NIMBUS_KAFKA_REPLICATION: "0",
  NIMBUS_KAFKA_RESULTS_TOPIC: "x".repeat(250),
  NIMBUS_KAFKA_RETENTION: "a while",
  NIMBUS_KAFKA_RETENTION_BYTES: "0.5",
  NIMBUS_KAFKA_REVOCATIONS_TOPIC: "a(b)",
  NIMBUS_KAFKA_SASL_MECHANISM: "kerberos",
  NIMBUS_KAFKA_TASKS_TOPIC: "a,b",
  NIMBUS_KAFKA_TLS: "maybe",
  NIMBUS_LOG_FORMAT: "xml",
  NIMBUS_LOG_LEVEL: "loud",
  NIMBUS_MAILBOX: "disk",
  NIMBUS_METRICS: "perhaps",
  NIMBUS_OPENINGS_PER_ADDRESS: "1.5",
  NIMBUS_OPERATIONS_PORT: "70000",
  NIMBUS_PAGE: "perhaps",
  NIMBUS_ORIGINS: "here",
  NIMBUS_OTLP_URL: "here",
  NIMBUS_SERVICE_SPANS_PER_SECOND: "-1",
  NIMBUS_PARTITIONS: "1025",
  NIMBUS_PORT: "70000",
  NIMBUS_PIPELINE_HTTP_PORT: "x",
  NIMBUS_POSTGRES_SCHEMA: "Name With Blanks",
  NIMBUS_POSTGRES_URL: "mysql://here",
  NIMBUS_REDIS_ADDRESS: "redis://:::",
  NIMBUS_REDIS_DB: "-1",
  NIMBUS_REDIS_PREFIX: "{a}",
  NIMBUS_REDIS_TLS: "maybe",
  NIMBUS_ROLES: "postman",
  NIMBUS_SHUTDOWN_TIMEOUT_SEC: "0",
  NIMBUS_STORAGE: "disk",
  NIMBUS_TASK_TTL: "7 days",
  NIMBUS_TRUSTED_PROXIES: "10.0.0.0/33",
  NIMBUS_TASKS_AT_ONCE: "0",
  NIMBUS_TASKS_PER_CLIENT: "many",
  NIMBUS_UNKNOWN_EVENT_WAIT: "2 hours",
  NIMBUS_WINDOW_RESULTS: "0",
}
/** Any text is right, as far as can be told before it is used; none counts as not set. */
const anyText = [
  "NIMBUS_ADMIN_OIDC_SCOPE",
  "NIMBUS_AUTH_HOOK",
  "NIMBUS_AUTH_ISSUER",
  "NIMBUS_DYNAMODB_REGION",
  "NIMBUS_HANDLERS",
  "NIMBUS_HOST",
  "NIMBUS_KAFKA_CLIENT_ID",
  "NIMBUS_KAFKA_SASL_PASSWORD",
  "NIMBUS_KAFKA_SASL_USERNAME",
  "NIMBUS_OPERATIONS_HOST",
  "NIMBUS_REDIS_EVENTS_CHANNEL",
  "NIMBUS_REDIS_PASSWORD",
  "NIMBUS_REDIS_USERNAME",
  "NIMBUS_TLS",
]

const read = (role: string, env: Readonly<Record<string, string>>, asked = new Set<string>()) => {
  // Otherwise PostgreSQL's and DynamoDB's, the secret of handlers, and what is said of tokens, are not read.
  const stores = {
    NIMBUS_MAILBOX: "postgres",
    NIMBUS_STORAGE: "postgres,dynamodb",
    NIMBUS_HANDLERS_HTTP: "order=http://127.0.0.1:8000/",
    NIMBUS_HANDLERS_HTTP_SECRET: `whsec_${"A".repeat(32)}`,
    NIMBUS_AUTH_ISSUER: "https://login.example",
    NIMBUS_AUTH_AUDIENCE: "nimbus",
    NIMBUS_AUTH_HOOK: "https://hook.example/connect",
    NIMBUS_AUTH_HOOK_SECRET: `whsec_${"A".repeat(32)}`,
  }
  const provider = ConfigProvider.fromEnv({ env: { ...stores, ...env } })
  const recording = ConfigProvider.make((path) => {
    asked.add(path.join("_"))
    return provider.load(path)
  })
  return Effect.exit(Effect.provideService(settings[role]!, ConfigProvider.ConfigProvider, recording))
}

/** All names that sources have in quotes. */
const namesIn = (...patterns: ReadonlyArray<string>): ReadonlyArray<string> => {
  const paths = globSync([...patterns], { cwd: root, exclude: ["**/*.test.ts", "**/testing/**", "**/SettingNames.ts"] })
  const texts = paths.map((path) => readFileSync(join(root, path), "utf8"))
  return texts.flatMap((text) => [...text.matchAll(/"(NIMBUS_[A-Z0-9_]+)"/g)].map(([, name]) => name!))
}

describe("the settings of a cluster's processes", () => {
  it.effect("are read before anything else: each that the sources name is among them", () =>
    Effect.gen(function* () {
      const all = new Set<string>()
      for (const role of roles) {
        const asked = new Set<string>()
        const exit = yield* read(role, {}, asked)
        assert.isTrue(Exit.isSuccess(exit), String(exit))
        const own = namesIn(`packages/${role}/src/**/*.ts`, "packages/domain/src/**/*.ts")
        const late = own.filter((name) => !asked.has(name))
        assert.deepStrictEqual(late, [], `${role} reads them later`)
        for (const name of asked) if (name.startsWith("NIMBUS_")) all.add(name)
      }
      const adapters = namesIn("packages/adapters/src/!(lmdb)/**/*.ts", "packages/adapters/src/*.ts")
      const late = adapters.filter((name) => !all.has(name))
      assert.deepStrictEqual(late, [], "adapters read them later")
      assert.sameMembers([...all], [...Object.keys(wrong), ...anyText])
    }),
  )

  it.effect.each(Object.keys(wrong))("%s is named when its value makes no sense", (name) =>
    Effect.gen(function* () {
      const reading = []
      for (const role of roles) {
        const asked = new Set<string>()
        const exit = yield* read(role, { [name]: wrong[name]! }, asked)
        if (!asked.has(name)) continue
        reading.push(role)
        if (Exit.isSuccess(exit)) return assert.fail(`${role} takes ${name}=${wrong[name]}`)
        const line = Failure.lineOf(exit.cause)
        assert.match(line, new RegExp(`^${name}: (expected|must be) [^\n]+$`))
        assert.isFalse(Cause.hasDies(exit.cause))
      }
      assert.isNotEmpty(reading)
    }),
  )

  it.each([
    { role: "gateway", name: "NIMBUS_HTTP_PORT", line: /^nimbus: NIMBUS_HTTP_PORT=70000: expected a value between / },
    { role: "gateway", name: "NIMBUS_HOST", line: /^nimbus: NIMBUS_HOST=0\.0\.0\.0 would open .*\(NO_LOCKS, / },
    { role: "gateway", name: "NIMBUS_REDIS_DB", line: /^nimbus: NIMBUS_REDIS_DB=-1: expected a value greater / },
    { role: "pipeline", name: "NIMBUS_ROLES", line: /^nimbus: NIMBUS_ROLES=postman: must be some of event-consumer,/ },
    {
      role: "pipeline",
      name: "NIMBUS_PARTITIONS",
      line: /^nimbus: NIMBUS_PARTITIONS=1025: expected a value between 1 and 1024$/,
    },
    { role: "pipeline", name: "NIMBUS_HANDLERS_HTTP", line: /^nimbus: NIMBUS_HANDLERS_HTTP=here: must be name=https:/ },
    {
      role: "pipeline",
      name: "NIMBUS_HANDLERS",
      line: /^nimbus: NIMBUS_HANDLERS=nowhere: there is no file .*\(HANDLERS_/,
    },
  ])("a $role ends at once with one line on $name, with Kafka and Redis away", async ({ line, name, role }) => {
    const { code, text } = await start(role, {
      [name]: wrong[name] ?? (name === "NIMBUS_HOST" ? "0.0.0.0" : "nowhere"),
    })
    assert.match(text.trimEnd(), line)
    assert.strictEqual(text.trimEnd().split("\n").length, 1, text)
    assert.strictEqual(code, 1)
  })
})

/** Starts a process where no service is, and waits until it has ended on its own. */
const start = async (role: string, env: Readonly<Record<string, string>>) => {
  const cwd = mkdtempSync(join(tmpdir(), "nimbus-settings-"))
  const inherited = Object.entries(process.env).filter(([name]) => !/^NIMBUS_|_URL$/.test(name))
  const child = spawn(process.execPath, [join(root, `packages/nimbus/src/cluster/${role}.ts`)], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    // Nobody listens on port 1.
    env: {
      ...Object.fromEntries(inherited),
      NIMBUS_KAFKA_BROKERS: "127.0.0.1:1",
      NIMBUS_REDIS_ADDRESS: "127.0.0.1:1",
      ...env,
    },
    timeout: 60_000,
    killSignal: "SIGKILL",
  })
  let text = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (text += data.toString()))
  const [code] = await once(child, "close")
  rmSync(cwd, { recursive: true })
  return { code, text }
}
