import { configDefaults, defineConfig } from "vitest/config"

/** What runs against real services: see scripts/services. */
const integration = "**/*.integration.test.ts"

/** They only end what hangs: some tests start processes, on a machine that may be several times slower than usual. */
const limits = { testTimeout: 120_000, hookTimeout: 120_000 }

// Vitest has no workspace files any more: this is the configuration, one project per package.
const project = (name: string, root: string, include = ["src/**/*.test.ts"]) => ({
  test: {
    name,
    root,
    include,
    exclude: [...configDefaults.exclude, integration],
    ...limits,
  },
})

export default defineConfig({
  test: {
    projects: [
      project("domain", "packages/domain", ["{src,mutation}/**/*.test.ts"]),
      project("adapters", "packages/adapters"),
      project("gateway", "packages/gateway"),
      project("page", "packages/gateway/page"),
      project("pipeline", "packages/pipeline"),
      project("client", "packages/client"),
      project("nimbus", "packages/nimbus"),
      project("bench", "bench"),
      project("examples", "examples", ["*/src/**/*.test.ts"]),
      project("scripts", "scripts", ["**/*.test.ts"]),
      project("model", "model", ["**/*.test.ts"]),
      {
        test: {
          name: "integration",
          include: [integration],
          globalSetup: "scripts/services/vitestSetup.ts",
          // After all others, one file at a time: they share the services, and the processors with them.
          sequence: { groupOrder: 1 },
          fileParallelism: false,
          ...limits,
        },
      },
    ],
  },
})
