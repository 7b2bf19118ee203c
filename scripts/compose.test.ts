/**
 * Checks docker-compose.yml where no container engine is: its schema, what each command starts, its health checks, its
 * start commands and its settings.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parseEnv } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { parse } from "yaml"

const root = join(import.meta.dirname, "..")
const textOf = (path: string) => readFileSync(join(root, path), "utf8")

const Compose = Schema.Struct({
  services: Schema.Record(
    Schema.String,
    Schema.Struct({
      profiles: Schema.Array(Schema.String),
      build: Schema.optionalKey(Schema.String),
      image: Schema.String,
      cap_drop: Schema.Array(Schema.String),
      cap_add: Schema.optionalKey(Schema.Array(Schema.String)),
      privileged: Schema.optionalKey(Schema.Boolean),
      security_opt: Schema.Array(Schema.String),
      read_only: Schema.optionalKey(Schema.Boolean),
      command: Schema.optionalKey(Schema.Array(Schema.String)),
      environment: Schema.optionalKey(Schema.Record(Schema.String, Schema.NullOr(Schema.String))),
      ports: Schema.optionalKey(Schema.Array(Schema.String)),
      depends_on: Schema.optionalKey(Schema.Record(Schema.String, Schema.Struct({ condition: Schema.String }))),
      healthcheck: Schema.optionalKey(Schema.Struct({ test: Schema.NonEmptyArray(Schema.String) })),
    }),
  ),
})
const { services } = Schema.decodeUnknownSync(Compose)(parse(textOf("docker-compose.yml"), { merge: true }))

const Package = Schema.fromJsonString(Schema.Struct({ scripts: Schema.Struct({ start: Schema.String }) }))
const startOf = (name: string) =>
  Schema.decodeUnknownSync(Package)(textOf(`packages/${name}/package.json`)).scripts.start

/**
 * The services that `docker compose [--profile …] up` starts in a fresh clone, by Compose's rules: the profiles are those
 * of the command line or, without any, of `COMPOSE_PROFILES`, which it reads from `.env`; a service starts if one of its
 * profiles is among them.
 */
const startedBy = (...profiles: ReadonlyArray<string>): ReadonlyArray<string> => {
  const { COMPOSE_PROFILES = "" } = parseEnv(textOf(".env"))
  const active = profiles.length > 0 ? profiles : COMPOSE_PROFILES.split(",")
  const starts = Object.entries(services).filter(([, service]) => service.profiles.some((one) => active.includes(one)))
  return starts.map(([name]) => name).toSorted()
}

const needed = ["kafka", "postgres", "redis"]
const consoles = ["dynamodb-admin", "kafka-ui", "redis-insight"]

describe("docker-compose.yml", () => {
  it.each([
    { profiles: [], starts: ["gateway", "pipeline", ...needed] },
    { profiles: ["dev"], starts: ["dynamodb-local", ...consoles, ...needed] },
    { profiles: ["all"], starts: ["gateway", "pipeline", "dynamodb-local", ...consoles, ...needed] },
    { profiles: ["gateway"], starts: ["gateway", ...needed] },
    { profiles: ["pipeline"], starts: ["pipeline", ...needed] },
  ])("starts for the profiles $profiles: $starts", ({ profiles, starts }) => {
    assert.deepStrictEqual(startedBy(...profiles), starts.toSorted())
    // Compose refuses to start a service without what it depends on.
    for (const name of starts) assert.includeMembers(starts, Object.keys(services[name]?.depends_on ?? {}))
  })

  it("has its default profiles in a file that is committed, and that has nothing else", () => {
    execFileSync("git", ["ls-files", "--error-unmatch", ".env"], { cwd: root })
    assert.deepStrictEqual(Object.keys(parseEnv(textOf(".env"))), ["COMPOSE_PROFILES"])
  })

  for (const [name, { healthcheck }] of Object.entries(services)) {
    it(`asks ${name} for its health`, () => {
      assert.include(["CMD", "CMD-SHELL"], healthcheck?.test[0])
      // An address of its own container, or a program that knows one: `true` would be no question.
      assert.match(healthcheck?.test.slice(1).join(" ") ?? "", /127\.0\.0\.1|localhost|redis-cli ping|pg_isready/)
    })
  }

  for (const [name, service] of Object.entries(services)) {
    it(`gives ${name} no capability, and no way to one`, () => {
      assert.deepStrictEqual(service.cap_drop, ["ALL"])
      assert.include(service.security_opt, "no-new-privileges:true")
      assert.isUndefined(service.cap_add)
      assert.isUndefined(service.privileged)
    })
  }

  it("lets what it needs to run write to its volumes alone", () => {
    const readOnly = Object.entries(services).flatMap(([name, service]) => (service.read_only === true ? [name] : []))
    assert.sameMembers(readOnly, ["gateway", "pipeline", "redis", "postgres"])
  })

  it("pins images whose tag is one version by their digest, and every other one by a tag", () => {
    for (const [name, { build, image }] of Object.entries(services)) {
      if (build !== undefined) continue
      assert.match(image, /^[a-z0-9/-]+:v?\d+(\.\d+)*(-alpine)?(@sha256:[0-9a-f]{64})?$/, name)
      if (["kafka", "dynamodb-local"].includes(name)) assert.include(image, "@sha256:")
    }
  })

  it("is open to this machine alone where it has no locks", () => {
    assert.strictEqual(services["gateway"]?.environment?.["NIMBUS_INSECURE"], "${NIMBUS_INSECURE:-true}")
    for (const { ports = [] } of Object.values(services)) {
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/)
    }
  })

  it("hands on to the gateway each setting of the locks that names no file of this machine", () => {
    const found = [...textOf("docs/configuration.md").matchAll(/^\| `(NIMBUS_(?:AUTH_\w+|ADMIN_TOKENS?))` \|/gm)]
    const settings = found.map(([, name = ""]) => name).filter((name) => name !== "NIMBUS_AUTH_RULES")
    assert.include(settings, "NIMBUS_AUTH_SECRET")
    for (const name of settings) assert.isNull(services["gateway"]?.environment?.[name], name)
  })

  it("fits the schema of Compose and passes its linter", () => {
    execFileSync(join(root, "node_modules/.bin/dclint"), ["docker-compose.yml"], { cwd: root })
  })

  for (const name of ["gateway", "pipeline"]) {
    it(`starts the ${name} as pnpm start in its package does, which the tests run`, () => {
      const [program = "", ...files] = startOf(name).split(" ")
      assert.deepStrictEqual(services[name]?.command, [program, ...files.map((file) => join("packages", name, file))])
      assert.isTrue(existsSync(join(root, services[name]?.command?.[1] ?? "")))
    })

    it(`gives the ${name} only settings that there are`, () => {
      const documented = textOf("docs/configuration.md")
      for (const setting of Object.keys(services[name]?.environment ?? {})) assert.include(documented, `\`${setting}\``)
    })
  }

  it("opens the ports that people of the seeds know", () => {
    const ports = Object.fromEntries(
      Object.entries(services).map(([name, { ports = [] }]) => [name, ports.map((port) => Number(port.split(":")[1]))]),
    )
    assert.deepStrictEqual(ports, {
      gateway: [3000, 50051],
      pipeline: [],
      redis: [6379],
      "redis-insight": [5540],
      kafka: [9092],
      "kafka-ui": [8080],
      postgres: [5432],
      "dynamodb-local": [8000],
      "dynamodb-admin": [8001],
    })
  })
})
