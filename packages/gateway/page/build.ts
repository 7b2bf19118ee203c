/**
 * Builds the page into `dist/site`, where the gateway serves it from, and the SDK as one module beside it, `client.js`;
 * does nothing where that is already of these sources.
 *
 * What counts is the content of every file that can go into the page, the lockfile among them. The new page takes the
 * old one's place by a rename, so that a concurrent reader finds a complete one.
 */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"

const page = import.meta.dirname
const root = join(page, "../../..")
const site = join(page, "dist/site")
/** In it, a digest of what it was built from. */
const stamp = join(site, ".sources")

const sources = [
  "pnpm-lock.yaml",
  "tsconfig.json",
  "packages/client/package.json",
  "packages/client/src",
  "packages/domain/src",
  "packages/gateway/page/build.ts",
  "packages/gateway/page/index.html",
  "packages/gateway/page/package.json",
  "packages/gateway/page/tsconfig.json",
  "packages/gateway/page/src",
]

/** Every file at or below a path, in a settled order; tests and what is for them go into no page. */
const filesAt = (path: string): ReadonlyArray<string> => {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return entries
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/\.test\.tsx?$|\/testing\//.test(file))
    .sort()
}

const digest = (): string => {
  const hash = createHash("sha256")
  for (const source of sources) {
    const path = join(root, source)
    if (!existsSync(path)) continue
    const files = source.includes(".") ? [path] : filesAt(path)
    for (const file of files) hash.update(relative(root, file)).update("\0").update(readFileSync(file)).update("\0")
  }
  return hash.digest("hex")
}

const wanted = digest()
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  const { build } = await import("vite")
  const next = join(page, `dist/next-${process.pid}`)
  await build({
    root: page,
    configFile: false,
    logLevel: "warn",
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: { outDir: next, emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  })
  await build({
    root: page,
    configFile: false,
    logLevel: "warn",
    build: {
      outDir: next,
      emptyOutDir: false,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        input: join(root, "packages/client/src/index.ts"),
        preserveEntrySignatures: "strict",
        output: { entryFileNames: "client.js" },
      },
    },
  })
  writeFileSync(join(next, ".sources"), wanted)
  mkdirSync(join(page, "dist"), { recursive: true })
  rmSync(site, { recursive: true, force: true })
  renameSync(next, site)
}
