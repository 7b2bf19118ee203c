import { assert, describe, it } from "@effect/vitest"
import * as Manifest from "./Manifest.ts"

const workspace = {
  name: "@nimbus/one",
  version: "1.2.3",
  private: true,
  description: "One.",
  license: "MIT",
  type: "module",
  exports: {
    ".": "./src/index.ts",
    "./deep": "./src/a/b/index.ts",
    "./generated": "./src/gen/x.js",
    "./testing": "./src/testing/index.ts",
    "./tools": "./tools/index.ts",
  },
  bin: { one: "./src/main.ts" },
  engines: { node: ">=20" },
  scripts: { start: "node src/main.ts" },
  dependencies: { "@nimbus/two": "workspace:*", ws: "8.0.0" },
  devDependencies: { vitest: "1.0.0" },
  peerDependencies: { effect: "^4.1.0" },
} as const

const decoded = Manifest.decode(JSON.stringify(workspace))
const versions = new Map([
  ["@nimbus/one", "1.2.3"],
  ["@nimbus/two", "4.5.6"],
])

describe("the manifest in a tarball", () => {
  it("exports the compiled files of what the workspace exports, but for its tools and its tests", () => {
    const { bin, exports } = Manifest.staged(decoded, versions)
    assert.deepStrictEqual(exports, {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./deep": { types: "./dist/a/b/index.d.ts", default: "./dist/a/b/index.js" },
      "./generated": { types: "./dist/gen/x.d.ts", default: "./dist/gen/x.js" },
    })
    assert.deepStrictEqual(bin, { one: "./dist/main.js" })
  })

  it("exports the suites of the domain, which others check their own services by", () => {
    const domain = { ...decoded, name: "@nimbus/domain" }
    assert.property(Manifest.staged(domain, versions).exports, "./testing")
  })

  it("has versions where the workspace has links, and neither scripts nor what only the workspace needs", () => {
    const staged = Manifest.staged(decoded, versions)
    assert.deepStrictEqual(staged.dependencies, { "@nimbus/two": "4.5.6", ws: "8.0.0" })
    for (const key of ["scripts", "devDependencies", "private"]) assert.notProperty(staged, key)
  })

  it("is refused where a package would need one that is not packed", () => {
    assert.throws(() => Manifest.staged(decoded, new Map()), "@nimbus/one needs @nimbus/two at run time")
  })
})
