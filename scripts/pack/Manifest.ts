/**
 * The manifest that a package has in its tarball, made from the one that it has in the workspace:
 *
 * ```
 *   exports, bin     ./src/x.ts   ──▶  ./dist/x.d.ts and ./dist/x.js
 *   workspace:*                   ──▶  the version of that package
 *   scripts, private, devDependencies  are left out
 * ```
 *
 * In the workspace the exports stay on the sources, so that nothing needs a build.
 */
import { Schema } from "effect"

const Texts = Schema.Record(Schema.String, Schema.String)

export const Manifest = Schema.Struct({
  name: Schema.String,
  version: Schema.String,
  description: Schema.String,
  license: Schema.String,
  type: Schema.Literal("module"),
  sideEffects: Schema.optionalKey(Schema.Boolean),
  exports: Texts,
  bin: Schema.optionalKey(Texts),
  engines: Texts,
  dependencies: Schema.optionalKey(Texts),
  peerDependencies: Schema.optionalKey(Texts),
  peerDependenciesMeta: Schema.optionalKey(Schema.Record(Schema.String, Schema.Struct({ optional: Schema.Boolean }))),
})
export type Manifest = typeof Manifest.Type

export const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Manifest))

/** Only these suites are for others: they check implementations of the domain's services. */
const withTesting = "@nimbus/domain"

/** The exports of a package that its tarball has: those on its sources, and not what is for our own tests. */
export const publishedExports = ({ exports, name }: Manifest): ReadonlyArray<readonly [string, string]> =>
  Object.entries(exports).filter(
    ([, target]) => target.startsWith("./src/") && (name === withTesting || !target.includes("/testing/")),
  )

/** Where the compiled file of a source is. */
export const built = (source: string): string => source.replace(/^\.\/src\//, "./dist/").replace(/\.ts$/, ".js")

/** `versions`: of each package that is packed, by its name. */
export const staged = (manifest: Manifest, versions: ReadonlyMap<string, string>) => {
  const { bin, dependencies, exports: _, ...rest } = manifest
  return {
    ...rest,
    files: ["dist", "docs", "ops", "page", "proto", "starter", "CHANGELOG.md"],
    exports: Object.fromEntries(publishedExports(manifest).map(([path, source]) => [path, targetsOf(source)])),
    ...(bin && { bin: mapValues(bin, built) }),
    ...(dependencies && {
      dependencies: Object.fromEntries(
        Object.entries(dependencies).map(([name, range]) => [name, rangeOf(manifest.name, name, range, versions)]),
      ),
    }),
  }
}

const targetsOf = (source: string) => {
  const file = built(source)
  return { types: file.replace(/\.js$/, ".d.ts"), default: file }
}

const rangeOf = (of: string, name: string, range: string, versions: ReadonlyMap<string, string>): string => {
  if (!range.startsWith("workspace:")) return range
  const version = versions.get(name)
  if (version === undefined) throw new Error(`${of} needs ${name} at run time, which is not packed`)
  return version
}

const mapValues = (record: Readonly<Record<string, string>>, change: (value: string) => string) =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
