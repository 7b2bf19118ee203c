/**
 * The starter: an application to begin with, which `nimbus create` copies. In the workspace it is examples/starter, where it
 * is tested; in the package it is the folder `starter`.
 *
 * npm packs no `.gitignore`, so the starter has it as `gitignore`. Its packages are those of this workspace: the copy asks for
 * the version that has made it.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { basename, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { reasonOf } from "@nimbus/domain/services"
import { Effect, Schema } from "effect"
import { StarterRefused } from "../Errors.ts"

const source = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../../../examples/starter" : "../../starter", import.meta.url),
)

/** What a run leaves behind, here and in the workspace. */
const isLeftover = (file: string): boolean => /^(node_modules|data)$/.test(relative(source, file))

/** An empty clone counts as empty. */
const entriesOf = (directory: string): ReadonlyArray<string> => readdirSync(directory).filter((name) => name !== ".git")

const Manifest = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json))

/** A name that npm takes, from that of the directory. */
export const nameOf = (directory: string): string =>
  basename(directory)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "") || "app"

/** The manifest of the copy. */
export const manifestOf = (starter: string, name: string, version: string): string => {
  const { description: _, ...manifest } = Schema.decodeSync(Manifest)(starter)
  return `${JSON.stringify({ ...manifest, name }, null, 2).replaceAll("workspace:*", version)}\n`
}

/** Copies the starter into a directory that is empty, or not there yet. */
export const copy = Effect.fnUntraced(function* (directory: string, version: string) {
  const target = resolve(directory)
  const attempt = <A>(work: () => A) =>
    Effect.try({
      try: work,
      catch: (cause) => new StarterRefused({ directory, reason: reasonOf(cause) }),
    })
  yield* attempt(() => mkdirSync(target, { recursive: true }))
  const [entry] = yield* attempt(() => entriesOf(target))
  if (entry !== undefined) return yield* new StarterRefused({ directory, reason: `it is not empty: it has ${entry}` })
  yield* attempt(() => {
    cpSync(source, target, { recursive: true, filter: (file) => !isLeftover(file) })
    renameSync(join(target, "gitignore"), join(target, ".gitignore"))
    const manifest = join(target, "package.json")
    writeFileSync(manifest, manifestOf(readFileSync(manifest, "utf8"), nameOf(target), version))
  })
})
