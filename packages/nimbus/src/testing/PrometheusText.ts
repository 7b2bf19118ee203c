/**
 * The text that Prometheus scrapes, read strictly, and what is wrong with it by the rules of `promtool check metrics`.
 * Format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string | undefined
  readonly samples: ReadonlyArray<Sample>
}

const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/gy

/** Throws on a line that is none. */
export const parse = (text: string): ReadonlyArray<Family> => {
  const families = new Map<string, Family & { readonly samples: Array<Sample>; help: string | undefined }>()
  let help: readonly [string, string] | undefined
  let current: (Family & { readonly samples: Array<Sample> }) | undefined
  for (const line of text.split("\n").slice(0, -1)) {
    const [, comment, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (comment === "HELP") help = [name, rest]
    else if (comment === "TYPE") {
      if (families.has(name)) throw new Error(`${name} has two families`)
      const family = { name, type: rest, help: help?.[0] === name ? help[1] : undefined, samples: [] }
      families.set(name, family)
      current = family
    } else if (current === undefined) throw new Error(`before any family: ${line}`)
    else current.samples.push(sampleOf(line))
  }
  return [...families.values()]
}

const sampleOf = (line: string): Sample => {
  const [, name, labels = "", value = ""] = sampleLine.exec(line) ?? []
  if (name === undefined) throw new Error(`no sample: ${line}`)
  const found = [...labels.matchAll(label)]
  if (found.map(([text]) => text).join("") !== labels) throw new Error(`no labels: ${line}`)
  const number = value === "+Inf" ? Infinity : Number(value)
  if (Number.isNaN(number)) throw new Error(`no number: ${line}`)
  return { name, labels: Object.fromEntries(found.map(([, name, value]) => [name, value])), value: number }
}

/** What is wrong, one sentence each. */
export const lint = (families: ReadonlyArray<Family>): ReadonlyArray<string> =>
  families.flatMap((family) =>
    rules.flatMap(([wrong, isWrong]) => (isWrong(family) ? [`${family.name}: ${wrong}`] : [])),
  )

const rules: ReadonlyArray<readonly [string, (family: Family) => boolean]> = [
  ["has no help", ({ help }) => help === undefined || help === ""],
  ["is a counter and does not end in _total", ({ name, type }) => type === "counter" && !name.endsWith("_total")],
  ["ends in _total and is no counter", ({ name, type }) => type !== "counter" && name.endsWith("_total")],
  ["ends as parts of histograms do", ({ name }) => /_(count|sum|bucket|info)$/.test(name)],
  ["names its type", ({ name }) => /_(counter|gauge|histogram|summary)(_|$)/.test(name)],
  ["is not in lower case", ({ name }) => /[A-Z]/.test(name)],
  [
    "has a unit that is no base unit",
    ({ name }) => /_(ms|milliseconds?|millis|minutes?|hours?|kilobytes|kb|mb|percent)(_|$)/.test(name),
  ],
  [
    "has samples of another name",
    ({ name, samples, type }) => samples.some((sample) => !namesOf(name, type).includes(sample.name)),
  ],
  [
    "has labels that are not in lower case",
    ({ samples }) => samples.some(({ labels }) => Object.keys(labels).some((name) => /[A-Z]/.test(name))),
  ],
  ["has two samples of the same labels", ({ samples }) => new Set(samples.map(identity)).size < samples.length],
  ["is a counter below zero", ({ samples, type }) => type === "counter" && samples.some(({ value }) => value < 0)],
  ["has buckets that do not add up", (family) => family.type === "histogram" && !addsUp(family)],
]

const namesOf = (name: string, type: string): ReadonlyArray<string> =>
  type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]

const identity = ({ labels, name }: Sample): string => `${name}${JSON.stringify(Object.entries(labels).sort())}`

/** Cumulative, in order of `le`, the last of them +Inf and the same as the count. Histograms here have no labels. */
const addsUp = ({ name, samples }: Family): boolean => {
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`)
  const bounds = buckets.map(({ labels }) => (labels["le"] === "+Inf" ? Infinity : Number(labels["le"])))
  const count = samples.find((sample) => sample.name === `${name}_count`)?.value
  return (
    bounds.every((bound, i) => bound > (bounds[i - 1] ?? -Infinity)) &&
    buckets.every(({ value }, i) => value >= (buckets[i - 1]?.value ?? 0)) &&
    bounds.at(-1) === Infinity &&
    buckets.at(-1)?.value === count
  )
}
