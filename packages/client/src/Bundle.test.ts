/** What the SDK costs a page, by the bundlers that pages are built with. */
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"
import * as vite from "vite"

/** Gzipped. */
const most_bytes = 42_000

const pages: ReadonlyArray<readonly [string, string]> = [
  ["the smallest page", "testing/SmallestPage.ts"],
  ["a page by Effect", "testing/EffectPage.ts"],
  ["everything that the SDK exports", "index.ts"],
]

interface Bundle {
  readonly code: string
  /** How much of each module is in it. */
  readonly modules: ReadonlyArray<readonly [module: string, bytes: number]>
}

const byEsbuild = async (entry: string): Promise<Bundle> => {
  const { metafile, outputFiles } = await esbuild.build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    outdir: "dist",
    metafile: true,
  })
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs))
  return { code: outputFiles[0]!.text, modules: inputs.map(([module, { bytesInOutput }]) => [module, bytesInOutput]) }
}

const byVite = async (entry: string): Promise<Bundle> => {
  const built = await vite.build({
    root: import.meta.dirname,
    configFile: false,
    logLevel: "warn",
    build: {
      write: false,
      target: "es2022",
      modulePreload: { polyfill: false },
      rolldownOptions: { input: entry, preserveEntrySignatures: "strict" },
    },
  })
  assert.isTrue("output" in built)
  const chunks = "output" in built ? built.output.filter((output) => output.type === "chunk") : []
  assert.lengthOf(chunks, 1)
  const { code, modules } = chunks[0]!
  return { code, modules: Object.entries(modules).map(([module, { renderedLength }]) => [module, renderedLength]) }
}

/** For the message of a failure. */
const heaviest = ({ modules }: Bundle): string =>
  modules
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 20)
    .map(([module, bytes]) => `${bytes} ${module.replace(/^.*node_modules\//, "")}`)
    .join("\n")

describe("Bundle", () => {
  it.each(pages)("of %s is small", { timeout: 60_000 }, async (_, entry) => {
    for (const bundle of [byEsbuild, byVite]) {
      const made = await bundle(join(import.meta.dirname, entry))
      assert.include(made.code, "WebSocket")
      const bytes = gzipSync(made.code, { level: 9 }).length
      assert.isBelow(bytes, most_bytes, `${bundle.name}: too much of\n${heaviest(made)}\n`)
    }
  })
})
