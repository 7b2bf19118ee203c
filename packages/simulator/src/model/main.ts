/**
 * `npm run model`: checks the specification of the protocol with Spin, in every mix of faults, and shows of each rule
 * that the specification fails without it. Ends with 1 if anything failed, was not exhausted within its bounds, or was
 * not caught; with 2 where Spin is missing.
 *
 *     npm run model -- --short            the small bounds of CI
 *     npm run model -- --only zombie      the mixes and rules whose name has this word
 *     npm run model -- --minutes 10       the most that one mix may take (default 30)
 */
import { parseArgs } from "node:util"
import { mixes } from "./Mixes.ts"
import { rules } from "./Rules.ts"
import { check, type Checked, missing, shortLimits, withAndWithout } from "./Spin.ts"

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    minutes: { type: "string", default: "30" },
  },
})
const timeout_ms = Number(values.minutes) * 60_000
if (!(timeout_ms > 0)) {
  console.error(`--minutes ${values.minutes} is no number of minutes`)
  process.exit(2)
}
const lacking = missing()
if (lacking !== undefined) {
  console.error(`The model can't be checked here: ${lacking}`)
  process.exit(2)
}

const limits = values.short ? shortLimits : { timeout_ms, memory_mb: 4_000, optimise: "-O2" as const }
const isWanted = (name: string): boolean => name.toLowerCase().includes(values.only.toLowerCase())

const tell = ({ steps, unfinished, violated }: Checked): void => {
  for (const step of steps) console.log(`      ${step.trim()}`)
  console.log(`      ${violated ?? `not all states were reached: ${unfinished}`}`)
}

let failures = 0
let states = 0

console.log("| mix | bounds | states | seconds | MB | |\n| --- | --- | ---: | ---: | ---: | --- |")
for (const { macros, name, short, spec } of mixes.filter(({ name }) => isWanted(name))) {
  const bounds = values.short ? short : macros
  const checked = await check({ spec, macros: bounds }, limits)
  const isGood = checked.violated === undefined && checked.unfinished === undefined
  states += checked.states
  const words = Object.entries(bounds).map(([bound, value]) => `${bound} ${value}`)
  const figures = `${checked.states.toLocaleString("en")} | ${checked.seconds.toFixed(0)} | ${checked.memory_mb}`
  console.log(`| ${name} | ${words.join(", ")} | ${figures} | ${isGood ? "holds" : "FAILS"} |`)
  if (isGood) continue
  failures++
  tell(checked)
}
console.log(`\n${states.toLocaleString("en")} states\n`)

console.log("| without the rule | what fails | after states |\n| --- | --- | ---: |")
for (const rule of rules.filter(({ macro, rule }) => isWanted(rule) || isWanted(macro))) {
  const { intact, mutant } = await withAndWithout(rule)
  const caught = intact.violated === undefined && intact.unfinished === undefined ? mutant.violated : undefined
  console.log(`| ${rule.rule} | ${caught ?? "NOT CAUGHT"} | ${mutant.states.toLocaleString("en")} |`)
  if (caught !== undefined) continue
  failures++
  tell(intact)
}

if (failures > 0) console.log(`\n${failures} failed`)
process.exitCode = failures > 0 ? 1 : 0
