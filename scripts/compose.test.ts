/** Checks docker-compose.yml where no container engine is: its schema, its start commands, and its settings. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
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
      command: Schema.optionalKey(Schema.Array(Schema.String)),
      environment: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
      ports: Schema.optionalKey(Schema.Array(Schema.String)),
      healthcheck: Schema.optionalKey(Schema.Unknown),
    }),
  ),
})
const { services } = Schema.decodeUnknownSync(Compose)(parse(textOf("docker-compose.yml"), { merge: true }))

const Package = Schema.fromJsonString(Schema.Struct({ scripts: Schema.Struct({ start: Schema.String }) }))
const startOf = (name: string) =>
  Schema.decodeUnknownSync(Package)(textOf(`packages/${name}/package.json`)).scripts.start

describe("docker-compose.yml", () => {
  it("fits the schema of Compose and passes its linter", () => {
    execFileSync(join(root, "node_modules/.bin/dclint"), ["docker-compose.yml"], { cwd: root })
  })

  for (const name of ["gateway", "pipeline"]) {
    it(`starts the ${name} as pnpm start in its package does, which the tests run`, () => {
      const [program = "", ...files] = startOf(name).split(" ")
      assert.deepStrictEqual(services[name]?.command, [program, ...files.map((file) => `packages/${name}/${file}`)])
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
