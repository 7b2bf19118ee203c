/**
 * Holds the metrics together: every one that the sources make has a row in docs/metrics.md, every row is one of them, and
 * the dashboard and the alert rules ask for none that isn't there.
 */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { parse } from "yaml"

const root = join(import.meta.dirname, "..")
const read = (path: string) => readFileSync(join(root, path), "utf8")

const name = /\b(?:nimbus|process)_[a-z0-9_]+\b/g

/** The names of metrics that a source has in quotes. */
const namesInSource = (source: string): ReadonlyArray<string> =>
  [...source.matchAll(/"((?:nimbus|process)_[a-z0-9_]+)"/g)].map((match) => match[1]!)

const sources = globSync("packages/*/src/**/*.ts", { cwd: root }).filter(
  (path) => !/\.test\.ts$|\/testing\/|^packages\/simulator\//.test(path),
)
/** By name, the description that `/metrics` shows. */
const described = new Map(
  sources.flatMap((path) =>
    [...read(path).matchAll(/"((?:nimbus|process)_[a-z0-9_]+)",\s*(?:\{\s*description:\s*)?"([^"]*)"/g)].map(
      ([, metric = "", description = ""]): [string, string] => [metric, description],
    ),
  ),
)

/** Named so too, and no metrics: the cookie with a token. */
const others: ReadonlySet<string> = new Set(["nimbus_session"])
const made = new Set(sources.flatMap((path) => namesInSource(read(path))).filter((metric) => !others.has(metric)))

/** Those of a query, without what a histogram puts behind its name. */
const namesInQuery = (query: string): ReadonlyArray<string> =>
  [...query.matchAll(name)].map(([found]) => found.replace(/_(?:bucket|sum|count)$/, ""))

/** All texts below the keys `expr`, however deep. */
const queriesIn = (value: unknown): ReadonlyArray<string> => {
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, below]) =>
    key === "expr" && typeof below === "string" ? [below] : queriesIn(below),
  )
}

const asked: ReadonlyArray<readonly [string, unknown]> = [
  ["ops/alerts.yml", parse(read("ops/alerts.yml"))],
  ["ops/grafana-dashboard.json", JSON.parse(read("ops/grafana-dashboard.json"))],
]

describe("docs/metrics.md", () => {
  const rows = [...read("docs/metrics.md").matchAll(/^\| `([a-z0-9_]+)` \| (\w+) \|[^|]*\| (.*) \|$/gm)]

  it("has a row for every metric in the sources, and no other", () => {
    const documented = rows.map(([, metric]) => metric!)
    assert.sameMembers(documented, [...made])
  })

  it("begins each row with the description that /metrics has", () => {
    const meanings = new Map(rows.map(([, metric = "", , meaning = ""]) => [metric, meaning.replaceAll("`", "")]))
    assert.hasAllKeys(meanings, [...described.keys()])
    for (const [metric, description] of described) assert.isTrue(meanings.get(metric)?.startsWith(description), metric)
  })

  it("says of each what kind it is and what it means", () => {
    assert.isNotEmpty(rows)
    for (const [, metric, kind, meaning] of rows) {
      assert.include(["counter", "gauge", "histogram"], kind, metric)
      assert.isAbove(meaning!.length, 10, metric)
      assert.strictEqual(kind === "counter", metric!.endsWith("_total"), metric)
    }
  })
})

describe("ops", () => {
  it.each(asked)("%s asks for metrics that there are", (_, file) => {
    const queries = queriesIn(file)
    assert.isAbove(queries.length, 5)
    const unknown = queries.flatMap(namesInQuery).filter((found) => !made.has(found))
    assert.deepStrictEqual(unknown, [])
  })

  it("the dashboard draws what the alerts look at", () => {
    const [alerts, dashboard] = asked.map(([, file]) => queriesIn(file).flatMap(namesInQuery))
    assert.includeMembers(dashboard!, alerts!)
  })

  it("every alert says what it is about and how bad it is", () => {
    const file: unknown = asked[0]![1]
    assert.isNotEmpty(rulesIn(file))
    for (const rule of rulesIn(file)) {
      assert.match(String(rule["alert"]), /^Nimbus[A-Z]\w+$/)
      assert.include(["warning", "critical"], Reflect.get(Object(rule["labels"]), "severity"))
      assert.isString(Reflect.get(Object(rule["annotations"]), "summary"))
    }
  })

  it("tells a metric that isn't there", () => {
    const query = "sum(rate(nimbus_gateway_accept_seconds_bucket[5m])) / nimbus_no_such_thing_total"
    assert.deepStrictEqual(
      namesInQuery(query).filter((found) => !made.has(found)),
      ["nimbus_no_such_thing_total"],
    )
  })
})

const isRule = (value: object): value is Readonly<Record<string, unknown>> => "alert" in value

function rulesIn(value: unknown): ReadonlyArray<Readonly<Record<string, unknown>>> {
  if (typeof value !== "object" || value === null) return []
  return isRule(value) ? [value] : Object.values(value).flatMap(rulesIn)
}
