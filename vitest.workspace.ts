import { defineConfig } from "vitest/config"

// Vitest has no workspace files any more: this is the configuration, one project per package.
const project = (name: string, root: string, include = ["src/**/*.test.ts"]) => ({
  test: { name, root, include, testTimeout: 20_000, hookTimeout: 30_000 },
})

export default defineConfig({
  test: {
    projects: [
      project("domain", "packages/domain", ["{src,mutation}/**/*.test.ts"]),
      project("adapters", "packages/adapters"),
      project("gateway", "packages/gateway"),
      project("pipeline", "packages/pipeline"),
      project("client", "packages/client"),
      project("nimbus", "packages/nimbus"),
      project("bench", "bench"),
      project("examples", "examples", ["*/src/**/*.test.ts"]),
      project("scripts", "scripts", ["**/*.test.ts"]),
    ],
  },
})
