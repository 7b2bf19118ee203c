/**
 * `npm run mutations`: takes each rule of the protocol out, out of the specification (`../model`) and out of the code that
 * runs in the world and in the simulator (`rules.ts`), puts bugs into the shells around the rules, and
 * writes docs/mutations.md: what caught each, and after how much. Ends with 1 if nothing caught one, or if what catches
 * it fails without it. Needs Spin.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Rule, rules as modelRules } from "../model/Rules.ts"
import { missing, withAndWithout } from "../model/Spin.ts"
import { load, type Patch, type WorldModule } from "./Mutant.ts"
import { type RuleName, ruleNames, rules as worldRules } from "./rules.ts"
import { direct } from "./direct.ts"
import { shells } from "./shells.ts"
import { firstFailure } from "./FirstFailure.ts"
import { production } from "../production/Production.ts"
import * as Simulation from "../simulation/index.ts"
import * as World from "../world/index.ts"

export const page = join(import.meta.dirname, "../../../../docs/mutations.md")
const steps = 400
const max_seeds = 3_000
/** Of the simulator: for rules, which the model and the world catch, and for bugs of shells, which nothing else does. */
const simulated_seeds = { rule: 120, shell: 1_000 }

/** By rule of the specification, the patch that takes the same rule out of the code. */
export const patches: Readonly<Record<string, RuleName>> = {
  BARRIERS_WAIT: "barrierInItsTurn",
  ONE_REQUEST: "oneProduceUnderWay",
  FINISHED_IS_ACKNOWLEDGED: "finishedIsAcknowledged",
  REPEATS: "repeatsByPrev",
  SHELVE_WITHOUT_ROUTE: "shelveWithoutRoute",
  DIVERT_ON_BARRIER: "divertOnBarrier",
  ROUTE_STARTS_AT_BARRIER: "routeStartsAtBarrier",
  DIVERT_IN_ORDER: "divertInOrder",
  ROUTE_IDS: "routeIds",
  ROUTE_IDS_ARE_USED_ONCE: "routeIdsOnce",
  COMMIT_WAITS: "commitWaits",
  OWN_POSITION: "ownReadPosition",
  PUTS_IN_ORDER: "putsInOrder",
  PUT_KEEPS_OLDER: "olderStays",
  OFFSET_WITH_MAILBOXES: "offsetStored",
  PREV: "pushesCheckPrev",
  HELD_PREV: "heldPushesCheckPrev",
  REPEATED_PUSH: "repeats",
  ONLY_CLIENTS_ACK: "onlyTheClientsAck",
  WINDOW: "window",
  BARRIER_SETS_DELIVERED: "barrierSetsDelivered",
  LIVE_AT_THE_END: "liveAtTheEnd",
  LIVE_BY_ONE_PAGE: "liveByOnePage",
  NEWEST_BARRIER: "onlyTheNewestBarrier",
  SWEEP: "sweep",
  EPOCH_NOT_BELOW_STORED: "epochNotBelowStored",
  LAST_TO_CONNECT_WINS: "sameEpochOtherPod",
  EPOCHS_OF_A_POD_GROW: "epochsOfAPodGrow",
  EPOCH_FROM_CLOCK: "epochsFromClock",
}

/** Those of which only the simulator knows. */
export const simulated: ReadonlyArray<Patch> = [...Object.values(shells), ...Object.values(direct)]

/** What broke, by what tried it; `undefined` where that can't do without the rule. */
interface Row {
  readonly rule: string
  readonly model: string | undefined
  readonly world: string | undefined
  readonly simulator: string | undefined
}

const not_caught = "NOT CAUGHT"

const rowOfModel = async (rule: Rule): Promise<Row> => {
  const patch = patches[rule.macro]
  return { rule: rule.rule, model: await caughtByModel(rule), ...(await caughtByCode(patch)) }
}

const caughtByCode = async (name: RuleName | undefined): Promise<Pick<Row, "world" | "simulator">> => {
  if (name === undefined) return { world: undefined, simulator: undefined }
  const world = await caughtByWorld(worldRules[name])
  const simulator = isSimulated(name) ? await caughtBySimulator(worldRules[name], simulated_seeds.rule) : undefined
  return { world, simulator: simulator ?? (isSimulated(name) ? `not in ${simulated_seeds.rule} seeds` : undefined) }
}

/** What stands for a shell in the world is production's own there. */
const isSimulated = (name: RuleName): boolean => worldRules[name].package === "domain"

/** Which rule of the simulator was broken, and how many seeds it took; `undefined`: none in so many. */
const caughtBySimulator = async (patch: Patch, max_seeds: number): Promise<string | undefined> => {
  const failed = await firstFailure(patch, { clients: 5, events: 60, faults: patch.faults }, max_seeds)
  if (failed?.failure === undefined) return undefined
  if (Simulation.run(production, failed.options).violation !== undefined) return not_caught
  return `${failed.failure.split(":")[0]}, after ${seedsOf(failed.options.seed)}`
}

const seedsOf = (count: number): string => `${count} ${count === 1 ? "seed" : "seeds"}`

const rowOfShell = async (patch: Patch): Promise<string> => {
  const caught = (await caughtBySimulator(patch, simulated_seeds.shell)) ?? not_caught
  return `| ${patch.rule} | \`${patch.package}/src/${patch.file}\` | ${caught} | ${patch.faults?.join(", ") ?? "all"} |`
}

const caughtByModel = async (rule: Rule): Promise<string> => {
  const { intact, mutant } = await withAndWithout(rule)
  const isIntact = intact.violated === undefined && intact.unfinished === undefined
  if (!isIntact || mutant.violated === undefined) return not_caught
  return `${mutant.violated}, after ${mutant.states.toLocaleString("en")} states`
}

/** Which rule of the world was broken, and how many seeds it took. */
const caughtByWorld = async (patch: Patch): Promise<string> => {
  if (patch.world === "by script") return "by a script"
  const mutant: WorldModule = await load(patch)
  const withTraffic = patch.world === "under traffic"
  for (let seed = 0; seed < max_seeds; seed++) {
    for (const withLosses of withTraffic ? [false] : [false, true]) {
      const options = World.ofSeed(seed, steps, withLosses, withTraffic)
      const failure = mutant.run(options)
      if (failure === undefined) continue
      if (World.run(options) !== undefined) return not_caught
      return `${failure.violation.rule}, after ${seedsOf(seed + 1)}`
    }
  }
  return not_caught
}

const head = `# Mutations

Each rule of [the protocol](protocol.md), taken out: of the specification in
[model](../packages/simulator/src/model/README.md), and of the code in a seeded world (\`packages/simulator/src/world\`) and
in the [simulator](simulation.md), as far as the code has it in one place. All hold with the rule, within the same bounds
and for the same seeds. What is written here is what broke without it, and how soon. The world tries one small thing after
another and has one partition: it is much quicker to find what is wrong with a rule. The simulator, of 5 clients and 60
events, is there for what lies around the rules.

Written by \`npm run mutations\`, which fails where nothing catches a rule.

| without the rule | the model: broken, after | the world: broken, after | the simulator: broken, after |
| --- | --- | --- | --- |
`

const headOfShells = `
## Bugs in the shells, and rules of direct delivery

What a consumer, a gateway or a client could do wrong though its rules decide right. Some of these were there once. And
what direct delivery and those who look on have of rules (\`domain\`). Only the simulator runs them; where a bug takes several
faults of few kinds at once, it is given those.

| what is left out | in | the simulator: broken, after | faults |
| --- | --- | --- | --- |
`

/** What would be lost without the world. */
const whyWorld = (rows: ReadonlyArray<Row>): string => {
  const alone = rows.filter(({ simulator, world }) => world !== not_caught && simulator?.startsWith("not in") === true)
  return `
Without ${alone.length} of these rules the world fails, or a script of it, and the simulator does not within so many seeds. The world
stays for them.
`
}

const line = ({ model, rule, simulator, world }: Row): string =>
  `| ${rule} | ${model ?? "–"} | ${world ?? "–"} | ${simulator ?? "–"} |`

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
  for (const name of ruleNames) {
    if (!inBoth.has(name)) add({ rule: worldRules[name].rule, model: undefined, ...(await caughtByCode(name)) })
  }
  const ofShells: Array<string> = []
  for (const patch of simulated) {
    ofShells.push(await rowOfShell(patch))
    console.error(ofShells.at(-1))
  }
  writeFileSync(page, `${head}${rows.map(line).join("\n")}\n${whyWorld(rows)}${headOfShells}${ofShells.join("\n")}\n`)
  const escaped = rows.filter(({ model, world }) => model === not_caught || world === not_caught)
  for (const { rule } of escaped) console.error(`Nothing caught: ${rule}`)
  process.exitCode = escaped.length > 0 || ofShells.some((row) => row.includes(not_caught)) ? 1 : 0
}
