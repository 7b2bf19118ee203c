/**
 * The import rules of docs/architecture.md, for `oxlint -c oxlint.imports.ts`. scripts/importRules.test.ts shows each
 * of them refuse.
 *
 *     client ──┐
 *     gateway ─┼──▶ domain ◀── adapters        nimbus composes: gateway + pipeline + adapters
 *     pipeline ┘                     simulator runs: gateway + pipeline + client
 *
 * Types count like values. These rules see declarations and `import()` of a literal; the linter's own rules refuse the
 * other ways to import.
 */
import { defineConfig, type OxlintOverride } from "oxlint"

const rooms = ["protocol", "access", "services", "errors", "limits", "json", "pacing", "observability", "admin", "http"]
const domain = ["@nimbus/domain", ...rooms.map((room) => `@nimbus/domain/${room}`)]
const node = ["node:*", "node:*/**"]
/** By its modules: the whole of it loads a client of Redis. */
const platform = [...node, "@effect/platform-node/*"]
/** Seeded decisions. A subpath of its own, because the suites load vitest. */
const dice = "@nimbus/domain/testing/dice"
const vitest = ["vitest", "@effect/vitest"]
const testing = [...domain, "@nimbus/domain/testing", ...vitest, ...node]

/** What a package must import by its name: a relative path that leaves a package comes in again by a `src`. */
const otherPackages = { regex: String.raw`^\.\.?/(.*/)?(src|node_modules)/`, message: "Import a package by its name." }
const suites = { regex: String.raw`^\.\.?/(.*/)?testing/`, message: "Only tests import what is for tests." }
const otherTransports = {
  regex: String.raw`^\.\./(.*/)?(chat|grpc|websocket)/`,
  message: "Transports don't import each other, and what they stand on imports none.",
}
const withoutHttp = {
  regex: String.raw`^(effect/http|effect/http-api|\.\./(.*/)?(admin|http)/.*)$`,
  message: "Operations are asked by HTTP and without it: they know nothing of it.",
}
const otherAdapters = {
  regex: String.raw`^\.\./(.*/)?[^/.]+/`,
  message: "Adapters don't import each other: what they share lies beside them.",
}
/** The same for tests, which may go up to scripts/services. */
const otherAdapter = { ...otherAdapters, regex: String.raw`^\.\./[^/.]+/` }
/** The rooms of domain that lie above the one that imports. */
const above = (rooms: string) => ({
  regex: String.raw`^\.\./(.*/)?(${rooms}|testing)/`,
  message: "A room of domain imports only those below it.",
})
const nodeSide = {
  regex: String.raw`^\.\.?/(.*/)?(node\.ts|FileMemory\.ts|node/|command/)`,
  message: "Browsers run this: it can't import what is for Node.",
}
const barrel = {
  regex: "^effect$",
  allowTypeImports: true,

  message:
    "A page loads this: esbuild keeps the whole of what comes from a barrel. Import `effect/Effect` and the like.",
}
const adapters = {
  group: ["@nimbus/adapters", "@nimbus/adapters/**"],
  message: "Only what the programs of packages/nimbus run names adapters.",
}

const simulator = {
  group: ["@nimbus/simulator", "@nimbus/simulator/**"],
  message: "Only tests and bench import the simulator.",
}

/** Refuses everything but the own package's files, effect and these. */
const only = (allowed: ReadonlyArray<string>, message: string) => ({
  group: ["*", "!./**", "!../**", "!effect", "!effect/**", ...allowed.map((name) => `!${name}`)],
  message,
})

type Refusal = ReturnType<typeof only> | typeof otherPackages | typeof barrel

const refuse = (files: string | Array<string>, ...refusals: ReadonlyArray<Refusal>): OxlintOverride => ({
  files: [files].flat(),
  rules: { "eslint/no-restricted-imports": ["error", { patterns: [otherPackages, ...refusals] }] },
})

const grpc = ["@bufbuild/protobuf", "@bufbuild/protobuf/**", "@connectrpc/connect", "@connectrpc/**"]
const browser = ["preact", "preact/hooks", "@preact/signals", "uplot", "socket.io-client", "oauth4webapi"]
const bundlers = ["esbuild", "vite"]
const validators = ["ajv/dist/2020.js", "@seriousme/openapi-schema-validator"]
const lmdb = ["lmdb"]
const kafka = ["kafkajs", "lz4-napi", "snappy", "@node-rs/crc32"]
const redis = ["ioredis", "@socket.io/redis-streams-adapter"]
const postgres = ["@effect/sql-pg", "@effect/sql-pg/**"]
const simulated = ["@nimbus/client", "@nimbus/gateway", "@nimbus/pipeline"]
const http = ["standardwebhooks"]
const tokens = ["jose"]
const dynamodb = ["@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb"]
const pglite = ["@electric-sql/pglite"]
const domainOnly = "domain imports effect: no I/O, no other package."
const pipelineOnly = "pipeline imports domain and effect: stores come from the environment."
const clientOnly = "client imports domain and effect: it runs in browsers too."
const pageOnly = "The page runs in browsers: it imports domain, the SDK, effect and what draws it."
const gatewayOnly = "gateway imports domain, effect and the platform, and a transport its own library."
const simulatorOnly = "The simulator imports domain and what it runs: client, gateway, pipeline."
const adapterOnly = "An adapter imports domain, effect and its one client library."

export default defineConfig({
  plugins: ["import"],
  categories: { correctness: "off" },
  ignorePatterns: ["**/dist/**", "**/gen/**"],
  rules: {
    "import/no-cycle": ["error", { ignoreTypes: false }],
  },
  // The last entry that matches a file holds for it, alone.
  overrides: [
    refuse(["packages/**", "bench/**", "examples/**"]),

    refuse("packages/domain/src/**", suites, only([], domainOnly)),
    // From the bottom to the top: json and pacing, protocol, services. What can be observed stands beside the services.
    refuse(
      "packages/domain/src/{json,pacing}/**",
      above("protocol|access|services|observability|admin"),
      only([], domainOnly),
    ),
    refuse("packages/domain/src/protocol/**", above("access|services|observability|admin"), only([], domainOnly)),
    refuse("packages/domain/src/access/**", above("services|observability|admin"), only([], domainOnly)),
    refuse("packages/domain/src/{services,observability}/**", suites, above("admin"), only([], domainOnly)),
    refuse(["packages/domain/src/testing/**", "packages/domain/src/**/*.test.ts"], only(vitest, domainOnly)),

    refuse("packages/pipeline/src/**", suites, only(domain, pipelineOnly)),
    refuse(["packages/pipeline/src/testing/**", "packages/pipeline/src/**/*.test.ts"], only(testing, pipelineOnly)),

    refuse("packages/client/src/**", suites, nodeSide, barrel, only(domain, clientOnly)),
    refuse(
      ["packages/client/src/{node,FileMemory}.ts", "packages/client/src/{node,command}/**"],
      suites,
      only([...domain, ...node], clientOnly),
    ),
    refuse(["packages/client/src/testing/**", "packages/client/src/**/*.test.ts"], only(testing, clientOnly)),
    refuse("packages/client/src/Bundle.test.ts", only([...testing, ...bundlers], clientOnly)),

    refuse("packages/gateway/src/**", suites, only([...domain, ...platform], gatewayOnly)),
    refuse(
      "packages/gateway/src/{chat,delivery,grpc,http,sockets}/**",
      suites,
      otherTransports,
      only([...domain, ...platform], gatewayOnly),
    ),
    refuse("packages/gateway/src/operations/**", suites, otherTransports, withoutHttp, only(domain, gatewayOnly)),
    refuse(
      "packages/gateway/src/sockets/BoundedWebSockets.ts",
      suites,
      otherTransports,
      only([...domain, ...platform, "ws"], gatewayOnly),
    ),
    refuse(
      "packages/gateway/src/websocket/**",
      suites,
      otherTransports,
      only([...domain, ...platform, "ws"], gatewayOnly),
    ),
    refuse(
      "packages/gateway/src/grpc/**",
      suites,
      otherTransports,
      only([...domain, ...platform, ...grpc], gatewayOnly),
    ),
    refuse(
      "packages/gateway/src/chat/**",
      suites,
      otherTransports,
      only([...domain, ...platform, "socket.io", "socket.io-parser"], gatewayOnly),
    ),
    refuse(
      ["packages/gateway/src/testing/**", "packages/gateway/src/**/*.test.ts"],
      only(
        [...testing, ...platform, ...grpc, ...validators, "ws", "socket.io-client", "socket.io-client-3"],
        gatewayOnly,
      ),
    ),

    refuse("packages/gateway/page/src/**", suites, only([...domain, "@nimbus/client", ...browser], pageOnly)),
    refuse("packages/gateway/page/src/**/*.test.ts", only([...testing, "@nimbus/client", ...browser], pageOnly)),

    refuse("packages/adapters/src/**", suites, otherAdapters, only([...domain, ...node], adapterOnly)),
    refuse("packages/adapters/src/lmdb/**", suites, otherAdapters, only([...domain, ...node, ...lmdb], adapterOnly)),
    refuse("packages/adapters/src/redis/**", suites, otherAdapters, only([...domain, ...node, ...redis], adapterOnly)),
    refuse(
      "packages/adapters/src/postgres/**",
      suites,
      otherAdapters,
      only([...domain, ...node, ...postgres], adapterOnly),
    ),
    refuse(
      "packages/adapters/src/dynamodb/**",
      suites,
      otherAdapters,
      only([...domain, ...node, ...dynamodb], adapterOnly),
    ),
    refuse("packages/adapters/src/http/**", suites, otherAdapters, only([...domain, ...node, ...http], adapterOnly)),
    refuse(
      "packages/adapters/src/tokens/**",
      suites,
      otherAdapters,
      only([...domain, ...node, ...tokens], adapterOnly),
    ),
    refuse("packages/adapters/src/pglite/**", suites, only([...domain, ...node, ...pglite, ...postgres], adapterOnly)),
    refuse("packages/adapters/src/kafka/**", suites, otherAdapters, only([...domain, ...node, ...kafka], adapterOnly)),
    refuse("packages/adapters/src/**/*.test.ts", otherAdapters, only([...testing, ...node], adapterOnly)),
    refuse("packages/adapters/src/lmdb/**/*.test.ts", otherAdapters, only([...testing, ...lmdb], adapterOnly)),
    refuse(
      "packages/adapters/src/dynamodb/**/*.test.ts",
      otherAdapter,
      only([...testing, ...dynamodb, "dynalite"], adapterOnly),
    ),
    refuse("packages/adapters/src/http/**/*.test.ts", otherAdapter, only([...testing, ...http], adapterOnly)),
    refuse(
      ["packages/adapters/src/tokens/testing/**", "packages/adapters/src/tokens/**/*.test.ts"],
      otherAdapter,
      only([...testing, dice, ...tokens, "oidc-provider"], adapterOnly),
    ),
    refuse("packages/adapters/src/pglite/**/*.test.ts", only([...testing, ...pglite, ...postgres], adapterOnly)),
    refuse(
      ["packages/adapters/src/kafka/testing/**", "packages/adapters/src/kafka/**/*.test.ts"],
      otherAdapter,
      only([...testing, ...kafka], adapterOnly),
    ),
    refuse("packages/adapters/src/redis/**/*.test.ts", otherAdapter, only([...testing, ...redis], adapterOnly)),
    refuse("packages/adapters/src/postgres/**/*.test.ts", otherAdapter, only([...testing, ...postgres], adapterOnly)),

    // Nothing imports it: every other rule but that of bench and of programs names what may be imported.
    refuse("packages/simulator/src/**", only([...domain, dice, ...simulated, ...node], simulatorOnly)),
    refuse("packages/simulator/src/**/*.test.ts", only([...testing, dice, ...simulated], simulatorOnly)),

    refuse("packages/nimbus/src/**", suites, adapters, simulator),
    refuse(["packages/nimbus/src/testing/**", "packages/nimbus/src/**/*.test.ts"]),

    // What the programs run, and it alone, names adapters: it composes layers, nothing else.
    refuse(
      ["packages/nimbus/src/{EnvironmentHandlers,Locks,Program,Stores}.ts", "packages/nimbus/src/cluster/*.ts"],
      simulator,
    ),
  ],
})
