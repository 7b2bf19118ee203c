/**
 * Shows that the import rules refuse what they are there for, and nothing else: the real configurations, run on a
 * scratch tree of the same shape in which every file holds one import.
 */
import { execFile } from "node:child_process"
import { globSync } from "node:fs"
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Schema } from "effect"

const root = join(import.meta.dirname, "..")

interface Case {
  /** The file; where its name does not matter it is `x.ts` or `x.test.ts`. */
  readonly where: string
  readonly code: string
  /** A part of what must be said, or `undefined` where nothing may be. */
  readonly refusal: string | undefined
}

const from = (specifier: string): string => `import * as m from "${specifier}"\nexport default m\n`

const refused = (where: string, specifier: string, refusal: string): Case => ({ where, code: from(specifier), refusal })
const allowed = (where: string, specifier: string): Case => ({ where, code: from(specifier), refusal: undefined })

const belowOnly = "A room of domain imports only those below it."
const domainOnly = "domain imports effect: no I/O, no other package."
const pipelineOnly = "pipeline imports domain and effect: stores come from the environment."
const clientOnly = "client imports domain and effect: it runs in browsers too."
const barrel = "esbuild keeps the whole of what comes from a barrel."
const nodeSide = "Browsers run this: it can't import what is for Node."
const withoutHttp = "Operations are asked by HTTP and without it: they know nothing of it."
const gatewayOnly = "gateway imports domain, effect and the platform, and a transport its own library."
const pageOnly = "The page runs in browsers: it imports domain, the SDK, effect and what draws it."
const adapterOnly = "An adapter imports domain, effect and its one client library."
const transports = "Transports don't import each other, and what they stand on imports none."
const adapters = "Adapters don't import each other: what they share lies beside them."
const byClock = "Use Effect's Clock, or the gateway's Timers, which a test can move."
const bySource = "Use RandomIds, or Effect's Random, which a test can set."
const byName = "Import a package by its name."
const suites = "Only tests import what is for tests."
const simulatorOnly = "The simulator imports domain and what it runs: client, gateway, pipeline."
const simulator = "Only tests and bench import the simulator."
const onlyMain = "Only what the programs of packages/nimbus run names adapters."

/** Each folder of the gateway that has a transport. */
const transportFolders = globSync("packages/gateway/src/*/*Transport.ts", { cwd: root }).map((path) =>
  basename(dirname(path)),
)

const cases: ReadonlyArray<Case> = [
  allowed("packages/domain/src/x.ts", "effect"),
  allowed("packages/domain/src/x.ts", "effect/http"),
  allowed("packages/domain/src/x.ts", "./internal/Ring.ts"),
  allowed("packages/domain/src/protocol/internal/x.ts", "../Ids.ts"),
  allowed("packages/domain/src/protocol/x.ts", "../json/Nesting.ts"),
  allowed("packages/domain/src/services/x.ts", "../protocol/Ids.ts"),
  refused("packages/domain/src/json/x.ts", "../protocol/Ids.ts", belowOnly),
  refused("packages/domain/src/protocol/x.ts", "../services/EventLog.ts", belowOnly),
  refused("packages/domain/src/protocol/internal/x.ts", "../../services/EventLog.ts", belowOnly),
  refused("packages/domain/src/services/x.ts", "../admin/Views.ts", belowOnly),
  refused("packages/domain/src/x.ts", "node:fs", domainOnly),
  refused("packages/domain/src/x.ts", "node:fs/promises", domainOnly),
  refused("packages/domain/src/x.ts", "effectful", domainOnly),
  refused("packages/domain/src/x.ts", "@effect/platform-node", domainOnly),
  refused("packages/domain/src/x.ts", "@nimbus/gateway", domainOnly),
  refused("packages/domain/src/x.ts", "../../gateway/src/Session.ts", byName),
  refused("packages/domain/src/x.ts", "../node_modules/ws/index.js", byName),
  refused("packages/domain/src/x.ts", "./testing/index.ts", suites),
  refused("packages/domain/src/internal/x.ts", "../../../gateway/src/Session.ts", byName),
  allowed("packages/domain/src/x.test.ts", "@effect/vitest"),
  allowed("packages/domain/src/x.test.ts", "./testing/index.ts"),
  allowed("packages/domain/src/testing/x.ts", "vitest"),
  allowed("packages/domain/src/testing/x.ts", "../EventLog.ts"),
  refused("packages/domain/src/x.ts", "vitest", domainOnly),
  refused("packages/domain/src/testing/x.ts", "lmdb", domainOnly),
  refused("packages/domain/src/x.test.ts", "node:fs", domainOnly),

  allowed("packages/pipeline/src/x.ts", "@nimbus/domain/protocol"),
  allowed("packages/pipeline/src/x.test.ts", "@nimbus/domain/testing"),
  refused("packages/pipeline/src/x.ts", "@nimbus/domain/testing", pipelineOnly),
  refused("packages/pipeline/src/x.ts", "@nimbus/adapters/lmdb", pipelineOnly),
  refused("packages/pipeline/src/x.ts", "@nimbus/gateway", pipelineOnly),
  refused("packages/pipeline/src/x.ts", "node:fs", pipelineOnly),
  refused("packages/pipeline/src/x.test.ts", "@nimbus/gateway", pipelineOnly),

  allowed("packages/client/src/x.ts", "@nimbus/domain"),
  allowed("packages/client/src/x.ts", "effect/Effect"),
  refused("packages/client/src/x.ts", "effect", barrel),
  {
    where: "packages/client/src/x.ts",
    code: `import type { Effect } from "effect"\nexport type E = Effect.Effect<void>\n`,
    refusal: undefined,
  },
  allowed("packages/client/src/x.test.ts", "effect"),
  allowed("packages/client/src/Bundle.test.ts", "esbuild"),
  refused("packages/client/src/x.test.ts", "esbuild", clientOnly),
  allowed("packages/client/src/node.ts", "node:fs/promises"),
  allowed("packages/client/src/node/x.ts", "../FileMemory.ts"),
  allowed("packages/client/src/command/x.ts", "node:fs"),
  refused("packages/client/src/x.ts", "node:fs", clientOnly),
  refused("packages/client/src/x.ts", "./node.ts", nodeSide),
  refused("packages/client/src/x.ts", "./FileMemory.ts", nodeSide),
  refused("packages/client/src/x.ts", "./command/Progress.ts", nodeSide),
  refused("packages/client/src/x.ts", "ws", clientOnly),
  refused("packages/client/src/node/x.ts", "ws", clientOnly),
  refused("packages/client/src/x.test.ts", "@nimbus/gateway", clientOnly),

  refused("packages/gateway/src/x.ts", "@effect/platform-node", gatewayOnly),
  allowed("packages/gateway/src/x.ts", "@effect/platform-node/NodeHttpServer"),
  allowed("packages/gateway/src/x.ts", "node:http"),
  allowed("packages/gateway/src/x.ts", "./websocket/Transport.ts"),
  allowed("packages/gateway/src/websocket/x.ts", "ws"),
  allowed("packages/gateway/src/websocket/x.ts", "../delivery/Delivery.ts"),
  allowed("packages/gateway/src/websocket/x.ts", "../http/HttpFront.ts"),
  allowed("packages/gateway/src/websocket/x.test.ts", "ws"),
  allowed("packages/gateway/src/grpc/x.ts", "@connectrpc/connect/protocol-grpc"),
  allowed("packages/gateway/src/grpc/x.ts", "@bufbuild/protobuf"),
  refused("packages/gateway/src/websocket/x.ts", "@connectrpc/connect", gatewayOnly),
  refused("packages/gateway/src/x.ts", "ws", gatewayOnly),
  refused("packages/gateway/src/grpc/x.ts", "ws", gatewayOnly),
  refused("packages/gateway/src/x.ts", "lmdb", gatewayOnly),
  refused("packages/gateway/src/x.ts", "@nimbus/pipeline", gatewayOnly),
  refused("packages/gateway/src/websocket/x.ts", "@nimbus/adapters/lmdb", gatewayOnly),
  refused("packages/gateway/src/x.test.ts", "@nimbus/adapters/lmdb", gatewayOnly),
  refused("packages/gateway/src/websocket/x.ts", "../grpc/Transport.ts", transports),
  refused("packages/gateway/src/grpc/x.ts", "../chat/Transport.ts", transports),
  refused("packages/gateway/src/chat/x.ts", "../websocket/Transport.ts", transports),
  refused("packages/gateway/src/http/x.ts", "../websocket/Transport.ts", transports),
  refused("packages/gateway/src/delivery/x.ts", "../grpc/Transport.ts", transports),
  refused("packages/gateway/src/operations/x.ts", "../http/ReadBudget.ts", withoutHttp),
  refused("packages/gateway/src/operations/x.ts", "effect/http", withoutHttp),
  refused("packages/gateway/src/operations/x.ts", "node:http", gatewayOnly),
  allowed("packages/gateway/src/operations/x.ts", "../delivery/Delivery.ts"),
  refused("packages/gateway/src/grpc/deep/x.ts", "../../websocket/Transport.ts", transports),
  ...transportFolders.map((folder) => refused("packages/gateway/src/http/x.ts", `../${folder}/x.ts`, transports)),

  allowed("packages/gateway/page/src/x.ts", "@nimbus/client"),
  allowed("packages/gateway/page/src/x.ts", "@nimbus/domain/admin"),
  allowed("packages/gateway/page/src/parts/x.ts", "preact/hooks"),
  allowed("packages/gateway/page/src/x.test.ts", "@effect/vitest"),
  refused("packages/gateway/page/src/x.ts", "@nimbus/client/node", pageOnly),
  refused("packages/gateway/page/src/x.ts", "@nimbus/gateway", pageOnly),
  refused("packages/gateway/page/src/parts/x.ts", "node:fs", pageOnly),
  refused("packages/gateway/page/src/x.ts", "../../src/Limits.ts", byName),

  allowed("packages/adapters/src/lmdb/x.ts", "lmdb"),
  allowed("packages/adapters/src/lmdb/x.ts", "node:fs"),
  allowed("packages/adapters/src/lmdb/x.ts", "@nimbus/domain"),
  allowed("packages/adapters/src/lmdb/x.ts", "../Errors.ts"),
  allowed("packages/adapters/src/lmdb/x.test.ts", "@nimbus/domain/testing"),
  allowed("packages/adapters/src/kafka/testing/x.ts", "@nimbus/domain/testing"),
  refused("packages/adapters/src/kafka/x.ts", "./testing/x.ts", suites),
  allowed("packages/adapters/src/lmdb/x.test.ts", "lmdb"),
  refused("packages/adapters/src/lmdb/x.ts", "ioredis", adapterOnly),
  allowed("packages/adapters/src/kafka/x.ts", "kafkajs"),
  allowed("packages/adapters/src/kafka/x.test.ts", "kafkajs"),
  refused("packages/adapters/src/kafka/x.ts", "ioredis", adapterOnly),
  refused("packages/adapters/src/redis/x.ts", "lmdb", adapterOnly),
  allowed("packages/adapters/src/redis/x.ts", "ioredis"),
  allowed("packages/adapters/src/redis/x.integration.test.ts", "../../../../scripts/services/Services.ts"),
  refused("packages/adapters/src/redis/x.ts", "../../../../scripts/services/Services.ts", adapters),
  refused("packages/adapters/src/redis/x.test.ts", "../lmdb/Mailbox.ts", adapters),
  allowed("packages/adapters/src/postgres/x.ts", "@effect/sql-pg"),
  refused("packages/adapters/src/postgres/x.ts", "ioredis", adapterOnly),
  refused("packages/adapters/src/lmdb/x.ts", "@nimbus/pipeline", adapterOnly),
  refused("packages/adapters/src/lmdb/x.ts", "../redis/Mailbox.ts", adapters),
  refused("packages/adapters/src/lmdb/x.test.ts", "../redis/Mailbox.ts", adapters),

  allowed("packages/simulator/src/x.ts", "@nimbus/gateway"),
  allowed("packages/simulator/src/x.ts", "@nimbus/domain/testing/dice"),
  refused("packages/simulator/src/x.ts", "@nimbus/domain/testing", simulatorOnly),
  refused("packages/simulator/src/x.ts", "@nimbus/adapters/lmdb", simulatorOnly),
  refused("packages/simulator/src/x.ts", "../../domain/src/protocol/Session.ts", byName),
  allowed("packages/simulator/src/x.test.ts", "@effect/vitest"),
  refused("packages/simulator/src/x.test.ts", "@nimbus/server", simulatorOnly),
  refused("packages/domain/src/x.test.ts", "@nimbus/simulator", domainOnly),
  refused("packages/nimbus/src/x.ts", "@nimbus/simulator", simulator),
  refused("packages/nimbus/src/cluster/x.ts", "@nimbus/simulator", simulator),

  allowed("packages/nimbus/src/Program.ts", "@nimbus/adapters/lmdb"),
  allowed("packages/nimbus/src/EnvironmentHandlers.ts", "@nimbus/adapters/http"),
  refused("packages/nimbus/src/HandlersModule.ts", "@nimbus/adapters/http", onlyMain),
  allowed("packages/nimbus/src/x.test.ts", "@nimbus/adapters/lmdb"),
  allowed("packages/nimbus/src/x.ts", "@nimbus/gateway"),
  refused("packages/nimbus/src/x.ts", "@nimbus/adapters/lmdb", onlyMain),
  refused("packages/nimbus/src/x.ts", "@nimbus/adapters", onlyMain),
  refused("packages/nimbus/src/x.test.ts", "../../gateway/src/Session.ts", byName),
  refused("bench/src/x.ts", "../../packages/domain/src/protocol/Ids.ts", byName),
  refused("examples/embed/src/x.ts", "../../../packages/domain/src/protocol/Ids.ts", byName),

  ...["domain/src", "gateway/src/sockets", "pipeline/src/internal"].flatMap((folder): ReadonlyArray<Case> => [
    { where: `packages/${folder}/x.ts`, code: `export const a = setTimeout(() => {}, 1)\n`, refusal: byClock },
    { where: `packages/${folder}/x.ts`, code: `export const a = Date.now()\n`, refusal: byClock },
    { where: `packages/${folder}/x.ts`, code: `export const a = performance.now()\n`, refusal: byClock },
    { where: `packages/${folder}/x.ts`, code: `export const a = Math.random()\n`, refusal: bySource },
    { where: `packages/${folder}/x.ts`, code: `export const a = crypto.randomUUID()\n`, refusal: bySource },
    { where: `packages/${folder}/x.ts`, code: `export const a = setImmediate(() => {})\n`, refusal: undefined },
    { where: `packages/${folder}/x.test.ts`, code: `export const a = Date.now()\n`, refusal: undefined },
  ]),
  refused("packages/gateway/src/x.ts", "node:timers/promises", byClock),
  {
    where: "packages/gateway/src/x.ts",
    code: `import { randomUUID } from "node:crypto"\nexport const a = randomUUID()\n`,
    refusal: bySource,
  },
  { where: "packages/domain/src/x.ts", code: `import type { A } from "ws"\nexport type B = A\n`, refusal: domainOnly },
  { where: "packages/domain/src/x.ts", code: `import "ws"\n`, refusal: domainOnly },
  { where: "packages/domain/src/x.ts", code: `export * from "ws"\n`, refusal: domainOnly },
  { where: "packages/domain/src/x.ts", code: `export { A } from "ws"\n`, refusal: domainOnly },
  { where: "packages/domain/src/x.ts", code: `export const a = import("ws")\n`, refusal: domainOnly },
  { where: "packages/domain/src/x.ts", code: `export const a = require("ws")\n`, refusal: `"require" call` },
  {
    where: "packages/domain/src/x.ts",
    code: `export type A = import("ws").A\n`,
    refusal: "type annotations are forbidden",
  },
]

/** Two files that import each other, by values and by types alone. */
const cycles: ReadonlyArray<readonly [string, string]> = [
  ["packages/domain/src/cycle/a.ts", `import { b } from "./b.ts"\nexport const a = () => b\n`],
  ["packages/domain/src/cycle/b.ts", `import { a } from "./a.ts"\nexport const b = () => a\n`],
  ["packages/domain/src/typeCycle/a.ts", `import type { B } from "./b.ts"\nexport interface A { b: B }\n`],
  ["packages/domain/src/typeCycle/b.ts", `import type { A } from "./a.ts"\nexport interface B { a: A }\n`],
]

/** A file of its own for each case: `x` stands for a number. */
const pathOf = ({ where }: Case, n: number): string => where.replace(/\/x(\.test)?\.ts$/, `/x${n}$1.ts`)

const Report = Schema.fromJsonString(
  Schema.Struct({
    number_of_files: Schema.Int,
    diagnostics: Schema.Array(
      Schema.Struct({ message: Schema.String, help: Schema.optional(Schema.String), filename: Schema.String }),
    ),
  }),
)

/** What oxlint says with one of the configurations about the scratch tree; it exits with 1 where it says something. */
const oxlint = (cwd: string, config: string): Promise<typeof Report.Type> =>
  new Promise((resolve, reject) => {
    const args = [
      join(root, "node_modules/oxlint/bin/oxlint"),
      "-c",
      config,
      "-f",
      "json",
      "packages",
      "bench",
      "examples",
    ]
    execFile(
      process.execPath,
      args,
      { cwd, maxBuffer: 16 * 1024 * 1024, timeout: 120_000 },
      (error, stdout, stderr) => {
        if (error !== null && error.code !== 1) return reject(new Error(`oxlint: ${stdout.slice(0, 1000)} ${stderr}`))
        resolve(Schema.decodeUnknownSync(Report)(stdout))
      },
    )
  })

describe("the import rules", () => {
  let tree: string
  const said = new Map<string, Array<string>>()
  const saidOf = (path: string): ReadonlyArray<string> => said.get(path) ?? []

  beforeAll(async () => {
    tree = await mkdtemp(join(tmpdir(), "nimbus-imports-"))
    await symlink(join(root, "node_modules"), join(tree, "node_modules"))
    const configs = ["oxlint.imports.ts", ".oxlintrc.json"]
    for (const config of configs) await cp(join(root, config), join(tree, config))
    const files = [...cycles, ...cases.map((c, n) => [pathOf(c, n), c.code] as const)]
    for (const [path, code] of files) {
      await mkdir(dirname(join(tree, path)), { recursive: true })
      await writeFile(join(tree, path), code)
    }
    for (const config of configs) {
      const report = await oxlint(tree, config)
      for (const { filename, help, message } of report.diagnostics) {
        said.set(filename, [...saidOf(filename), `${message} ${help ?? ""}`])
      }
    }
  }, 240_000)

  afterAll(() => rm(tree, { recursive: true, force: true }))

  it.each(cases.map((c, n) => [`${c.where}: ${c.code.split("\n")[0]}`, c, pathOf(c, n)] as const))(
    "%s",
    (_, c, path) => {
      const sentences = saidOf(path)
      if (c.refusal === undefined) assert.deepStrictEqual(sentences, [])
      else assert.include(sentences.join("\n"), c.refusal)
    },
  )

  it.each(cycles)("%s is refused as part of a cycle", (path) => {
    assert.include(saidOf(path).join("\n"), "Dependency cycle")
  })
})
