import { availableParallelism } from "node:os"
import { configDefaults, defineConfig } from "vitest/config"

/**
 * Vitest has no workspace files any more: this is the configuration, one project per package, and three by name:
 *
 * | files                          | project              | run by           |
 * | ------------------------------ | -------------------- | ---------------- |
 * | `*.test.ts`                    | that of the package  | `npm test`       |
 * | `*.integration.test.ts`        | `integration`        | `npm test`       |
 * | `*.verify.test.ts`             | `verify`             | `npm run verify` |
 * | `*.integration.verify.test.ts` | `verify-integration` | `npm run verify` |
 *
 * Integration tests run against real services: see scripts/services. CONTRIBUTING.md says what belongs to `verify`.
 */
const integration = "**/*.integration.test.ts"
const verify = "**/*.verify.test.ts"
const verifyIntegration = "**/*.integration.verify.test.ts"

/** They only end what hangs: some tests start processes, on a machine that may be several times slower than usual. */
const limits = { testTimeout: 120_000, hookTimeout: 120_000 }

const processors = availableParallelism()
/** One more than there are processors: tests of processes, sockets and services wait for something most of the time. */
const maxWorkers = processors + 1

/**
 * Unit tests. `isolate: false`: a worker keeps its modules for all files of a project, whose import would otherwise take
 * longer than the tests; a test file may leave nothing behind in them.
 */
const project = (name: string, root: string, include = ["src/**/*.test.ts"]) => ({
  test: {
    name,
    root,
    include,
    exclude: [...configDefaults.exclude, integration, verify],
    isolate: false,
    maxWorkers,
    ...limits,
  },
})

export default defineConfig({
  test: {
    projects: [
      project("domain", "packages/domain"),
      project("adapters", "packages/adapters"),
      project("gateway", "packages/gateway"),
      project("page", "packages/gateway/page"),
      project("pipeline", "packages/pipeline"),
      project("client", "packages/client"),
      project("nimbus", "packages/nimbus"),
      project("simulator", "packages/simulator"),
      project("bench", "bench"),
      // The starter's test is run as its users run it, by packages/nimbus/src/create.
      project("examples", "examples", ["!(starter)/src/**/*.test.ts"]),
      project("scripts", "scripts", ["**/*.test.ts"]),
      {
        test: {
          name: "integration",
          include: [integration],
          globalSetup: "scripts/services/vitestSetup.ts",
          // After all others: the services have the same processors. Files share them, and each has names of its own there.
          sequence: { groupOrder: 1 },
          maxWorkers: processors,
          ...limits,
        },
      },
      {
        test: {
          name: "verify",
          include: [verify],
          exclude: [...configDefaults.exclude, verifyIntegration],
          sequence: { groupOrder: 2 },
          // These compute all the time.
          maxWorkers: processors,
          ...limits,
        },
      },
      {
        test: {
          name: "verify-integration",
          include: [verifyIntegration],
          globalSetup: "scripts/services/vitestSetup.ts",
          // One file at a time: what they break, and how fast all of it is there again, is theirs alone.
          sequence: { groupOrder: 3 },
          fileParallelism: false,
          ...limits,
        },
      },
    ],
  },
})
