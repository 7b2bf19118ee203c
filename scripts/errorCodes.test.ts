/**
 * Holds docs/errors.md and the sources together, both ways: every code that an error carries, that a client is told or
 * that a socket is closed with has a row, and every row is such a code.
 *
 * A code is a string literal in capitals. Any such literal counts, however it is used, but for the few kinds listed in
 * `otherCapitals`: so no code can hide in a place that nobody thought of.
 */
import { globSync, readFileSync } from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { closeCodes } from "../packages/domain/src/protocol/CloseCodes.ts"

const root = join(import.meta.dirname, "..")

const otherCapitals: ReadonlyArray<RegExp> = [
  /^(OFFLINE|REPLAYING|LIVE|UNKNOWN)$/, // statuses of a client
  /^(NIMBUS|OTEL)_/, // settings
  /^(KAFKA_BROKER_URL|POSTGRES_URL|REDIS_URL)$/, // other names of settings
  /^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)$/, // HTTP
  /^MESSAGES$/, // the topic of the open chat
  /^ERR_/, // what Node calls its errors
  /^((RS|PS|ES|HS)(256|384|512)|RSA|OKP)$/, // signatures of tokens, and kinds of keys
  /^(HASH|RANGE|PAY_PER_REQUEST|ACTIVE|UPDATING)$/, // what DynamoDB calls keys, billing and states of tables
]

/** What the operating system calls its errors and signals. */
const ofTheSystem = new Set([...Object.keys(constants.errno), ...Object.keys(constants.signals)])

interface Row {
  readonly code: string
  readonly cells: ReadonlyArray<string>
}

/** The rows of the table: those that begin with a code. */
const rows: ReadonlyArray<Row> = readFileSync(join(root, "docs/errors.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| [A-Z][A-Z0-9_]* \|/.test(line))
  .map((line) => line.split("|").slice(1, -1))
  .map((cells) => ({ code: cells[0]!.trim(), cells: cells.map((cell) => cell.trim()) }))

/** The literals in capitals of at least three letters, in order. */
const codesIn = (source: string): ReadonlyArray<string> =>
  [...source.matchAll(/"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)"/g)]
    .map((match) => match[1]!)
    .filter((word) => word.length > 2 && !ofTheSystem.has(word) && !otherCapitals.some((kind) => kind.test(word)))

const codesOfSources = (): ReadonlyMap<string, string> => {
  const codes = new Map<string, string>()
  for (const path of globSync("packages/*/src/**/*.ts", { cwd: root })) {
    // It has capitals of its own, and no errors.
    if (path.startsWith("packages/simulator/")) continue
    if (path.endsWith(".test.ts") || path.includes("/testing/")) continue
    for (const code of codesIn(readFileSync(join(root, path), "utf8"))) {
      if (!codes.has(code)) codes.set(code, path)
    }
  }
  return codes
}

describe("docs/errors.md", () => {
  it("has a row for every code in the sources, and no other", () => {
    const codes = codesOfSources()
    const documented = new Set(rows.map(({ code }) => code))
    const missing = [...codes].filter(([code]) => !documented.has(code)).map(([code, path]) => `${code} (${path})`)
    const stale = [...documented].filter((code) => !codes.has(code))
    assert.deepStrictEqual({ missing, stale }, { missing: [], stale: [] })
  })

  it("has one row per code, with all four cells filled in", () => {
    assert.isAbove(rows.length, 0)
    assert.strictEqual(new Set(rows.map(({ code }) => code)).size, rows.length)
    const incomplete = rows.filter(({ cells }) => cells.length !== 4 || cells.some((cell) => cell === ""))
    assert.deepStrictEqual(incomplete, [])
  })

  it("tells the number of every close code", () => {
    for (const { code, reason } of Object.values(closeCodes)) {
      const row = rows.find((row) => row.code === reason)
      assert.include(row?.cells[1] ?? "", `close ${code}`)
    }
  })

  it("takes a code for one wherever it stands, and nothing else in capitals", () => {
    const source = `code: Schema.tag("DISK_FULL") | type C = "NO_ID" | "TOO_OLD"; tell("BUSY", text)
      if (status === "LIVE" || error.code === "ENOENT") Config.String("NIMBUS_HOST"); method: "GET"; "OK"; "Quiet"`
    assert.deepStrictEqual(codesIn(source), ["DISK_FULL", "NO_ID", "TOO_OLD", "BUSY"])
  })
})
