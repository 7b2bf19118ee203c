/**
 * `npm run release`: raises the versions by the changesets, packs the tarballs, writes what they are made of (an SBOM), and
 * asks the registry for known advisories, of which any stops the release. What is left to do by hand is printed.
 *
 * With `--dry-run` the workspace stays as it is: the tarballs get the versions that the release would give them.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { Schema } from "effect"
import { folders, pack } from "./Pack.ts"

const root = join(import.meta.dirname, "../..")
const isDry = process.argv.includes("--dry-run")

/** Runs pnpm, whose output is shown; returns whether it ended well. */
const pnpm = (...args: ReadonlyArray<string>): boolean =>
  spawnSync("npm", ["run", "--silent", "pnpm", "--", ...args], { cwd: root, stdio: "inherit" }).status === 0

const must = (isDone: boolean, what: string): void => {
  if (!isDone) throw new Error(`the release has stopped: ${what}`)
}

const Plan = Schema.fromJsonString(
  Schema.Struct({
    releases: Schema.Array(
      Schema.Struct({ name: Schema.String, oldVersion: Schema.String, newVersion: Schema.String }),
    ),
  }),
)

/** What the changesets make of the versions. */
const planned = () => {
  const directory = mkdtempSync(join(tmpdir(), "nimbus-release-"))
  try {
    const file = join(directory, "plan.json")
    // Changesets writes relative to where it runs.
    must(pnpm("exec", "changeset", "status", "--output", relative(root, file)), "the changesets can't be read")
    return Schema.decodeUnknownSync(Plan)(readFileSync(file, "utf8")).releases
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const releases = planned().filter(({ newVersion, oldVersion }) => newVersion !== oldVersion)
for (const { name, newVersion, oldVersion } of releases) console.log(`${name}  ${oldVersion} -> ${newVersion}`)
if (!isDry) must(pnpm("exec", "changeset", "version"), "the versions can't be raised")

const tarballs = pack(new Map(releases.map(({ name, newVersion }) => [name, newVersion])))
for (const path of tarballs) console.log(relative(root, path))

const sboms = join(root, "dist/sbom")
rmSync(sboms, { recursive: true, force: true })
mkdirSync(sboms, { recursive: true })
const filters = folders.flatMap((folder) => ["--filter", `./packages/${folder}`])
const sbom = ["sbom", "--sbom-format", "cyclonedx", "--prod", "--split", "--out", join(sboms, "%s.cdx.json")]
must(pnpm(...filters, ...sbom), "the SBOM can't be written")
for (const file of readdirSync(sboms)) console.log(`dist/sbom/${file}`)

// A registry that does not answer is said, and stops nothing.
must(pnpm("audit", "--prod", "--ignore-registry-errors"), "there are advisories")

const { newVersion } = releases.find(({ name }) => name === "@nimbus/server") ?? { newVersion: "" }
console.log(
  isDry
    ? "This was a dry run: nothing has changed but dist."
    : `Now: npm test, commit the versions and changelogs, git tag v${newVersion}, push it, and attach dist to the release.`,
)
