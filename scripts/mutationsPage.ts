/**
 * `npm run mutations`: takes each rule of the protocol out, out of the specification (`model/`) and out of the code that
 * runs in the world (`packages/domain/mutation`), and writes docs/mutations.md: what caught it, and after how much. Ends
 * with 1 if nothing caught a rule, or if what catches it fails with the rule in place. Needs Spin.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Rule, rules as modelRules } from "../model/Rules.ts"
import { missing, withAndWithout } from "../model/Spin.ts"
import { load, type Patch, type WorldModule } from "../packages/domain/mutation/Mutant.ts"
import { type RuleName, rules as worldRules } from "../packages/domain/mutation/rules.ts"
import * as World from "../packages/domain/src/testing/world/index.ts"

export const page = join(import.meta.dirname, "..", "docs", "mutations.md")
const steps = 250
const max_seeds = 3_000

/** By rule of the specification, the patch that takes the same rule out of the code. */
export const patches: Readonly<Record<string, RuleName>> = {
  SEEN: "seen",
  SHELVE_WITHOUT_ROUTE: "shelveWithoutRoute",
  DIVERT_ON_BARRIER: "divertOnBarrier",
  ROUTE_STARTS_AT_BARRIER: "routeStartsAtBarrier",
  DIVERT_IN_ORDER: "divertInOrder",
  COMMIT_ONE_SHORT: "commitOneShort",
  OWN_POSITION: "ownReadPosition",
  PUTS_IN_ORDER: "putsInOrder",
  OFFSET_WITH_MAILBOXES: "offsetStored",
  PREV: "pushesCheckPrev",
  HELD_PREV: "heldPushesCheckPrev",
  REPEATED_PUSH: "repeats",
  ONLY_CLIENTS_ACK: "onlyTheClientsAck",
  WINDOW: "window",
  BARRIER_SETS_DELIVERED: "barrierSetsDelivered",
  SWEEP: "sweep",
  EPOCH_NOT_BELOW_STORED: "epochNotBelowStored",
  LAST_TO_CONNECT_WINS: "sameEpochOtherPod",
  EPOCHS_OF_A_POD_GROW: "epochsOfAPodGrow",
  EPOCH_FROM_CLOCK: "epochsFromClock",
}

/** What broke, by what tried it; `undefined` where that can't do without the rule. */
interface Row {
  readonly rule: string
  readonly model: string | undefined
  readonly world: string | undefined
}

const not_caught = "NOT CAUGHT"

const rowOfModel = async (rule: Rule): Promise<Row> => {
  const patch = patches[rule.macro]
  const world = patch === undefined ? undefined : await caughtByWorld(worldRules[patch])
  return { rule: rule.rule, model: await caughtByModel(rule), world }
}

const caughtByModel = async (rule: Rule): Promise<string> => {
  const { intact, mutant } = await withAndWithout(rule)
  const isIntact = intact.violated === undefined && intact.unfinished === undefined
  if (!isIntact || mutant.violated === undefined) return not_caught
  return `${mutant.violated}, after ${mutant.states.toLocaleString("en")} states`
}

/** Which rule of the world was broken, and how many seeds it took. */
const caughtByWorld = async (patch: Patch): Promise<string> => {
  const mutant: WorldModule = await load(patch)
  for (let seed = 0; seed < max_seeds; seed++) {
    for (const withLosses of [false, true]) {
      const options = World.ofSeed(seed, steps, withLosses)
      const failure = mutant.run(options)
      if (failure === undefined) continue
      if (World.run(options) !== undefined) return not_caught
      return `${failure.violation.rule}, after ${seed + 1} ${seed === 0 ? "seed" : "seeds"}`
    }
  }
  return not_caught
}

const head = `# Mutations

Each rule of [the protocol](protocol.md), taken out: of the specification in [model](../model/README.md), and of the code
in a seeded world (\`packages/domain/src/testing/world\`), as far as the code has it in one place. Both hold with the
rule, within the same bounds and for the same seeds. What is written here is what broke without it, and how soon. Bugs in
the shells around the rules, and the simulator that finds them: [simulation.md](simulation.md).

Written by \`npm run mutations\`, which fails where nothing catches a rule.

| without the rule | the model: broken, after | the world: broken, after |
| --- | --- | --- |
`

const line = ({ model, rule, world }: Row): string => `| ${rule} | ${model ?? "–"} | ${world ?? "–"} |`

if (import.meta.main) {
  const lacking = missing()
  if (lacking !== undefined) {
    console.error(`The mutations can't be tried here: ${lacking}`)
    process.exit(2)
  }
  const rows: Array<Row> = []
  const add = (row: Row): void => {
    rows.push(row)
    console.error(line(row))
  }
  for (const rule of modelRules) add(await rowOfModel(rule))
  const inBoth = new Set<string>(Object.values(patches))
  for (const [name, patch] of Object.entries<Patch>(worldRules)) {
    if (!inBoth.has(name)) add({ rule: patch.rule, model: undefined, world: await caughtByWorld(patch) })
  }
  writeFileSync(page, `${head}${rows.map(line).join("\n")}\n`)
  const escaped = rows.filter(({ model, world }) => model === not_caught || world === not_caught)
  for (const { rule } of escaped) console.error(`Nothing caught: ${rule}`)
  process.exitCode = escaped.length > 0 ? 1 : 0
}
