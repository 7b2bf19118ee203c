/**
 * `npm run mutations`: removes each rule of the protocol from the specification (`../model`) and from the code that runs
 * in the world and in the simulator (`rules.ts`), puts bugs into the shells around the rules, and writes
 * docs/mutations.md: which check failed, and after how many states or seeds. It exits with 1 if no check fails without a
 * rule, or if the check also fails with it. It needs Spin.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Rule, rules as modelRules } from "../model/Rules.ts"
import { missing, withAndWithout } from "../model/Spin.ts"
import { load, optionsOf, type Patch, type WorldModule } from "./Mutant.ts"
import { type RuleName, ruleNames, rules as worldRules } from "./rules.ts"
import { direct } from "./direct.ts"
import { handlers } from "./handlers.ts"
import { shells } from "./shells.ts"
import { tasks } from "./tasks.ts"
import { firstFailure } from "./FirstFailure.ts"
import { production } from "../production/Production.ts"
import * as Simulation from "../simulation/index.ts"
import * as World from "../world/index.ts"

export const page = join(import.meta.dirname, "../../../../docs/mutations.md")
const steps = 400
const max_seeds = 3_000
/** The seeds of the simulator: for rules, which the model and the world catch too, and for bugs, which only it catches. */
const simulated_seeds = { rule: 120, shell: 1_000 }

/** For a rule of the specification, the patch that removes the same rule from the code. */
export const patches: Readonly<Record<string, RuleName>> = {
  BARRIERS_WAIT: "barrierInItsTurn",
  ONE_REQUEST: "oneProduceUnderWay",
  FINISHED_IS_ACKNOWLEDGED: "finishedIsAcknowledged",
  REPEATS: "repeatsByPrev",
  SPILL_WITHOUT_ROUTE: "spillWithoutRoute",
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

/** The patches that only the simulator runs. */
export const simulated: ReadonlyArray<Patch> = [
  ...Object.values(shells),
  ...Object.values(direct),
  ...Object.values(handlers),
  ...Object.values(tasks),
]

/** Which check failed in the model, the world and the simulator; `undefined` if the rule can't be removed from it. */
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

/** The simulator runs the shells of production, so it has no use for a patch of the world's stand-ins. */
const isSimulated = (name: RuleName): boolean => worldRules[name].package === "domain"

/** Which rule of the simulator was broken, and after how many seeds; `undefined` if none was. */
const caughtBySimulator = async (patch: Patch, max_seeds: number): Promise<string | undefined> => {
  const failed = await firstFailure(patch, optionsOf(patch), max_seeds)
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

/** Which rule of the world was broken, and after how many seeds. */
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

This page shows what breaks without each rule of [the protocol](protocol.md). Each rule was removed from the specification
in [model](../packages/simulator/src/model/README.md), and, if the code has it in one place, from the code that runs in a
seeded world (\`packages/simulator/src/world\`) and in the [simulator](simulation.md). With the rule, every check holds
within the same bounds and for the same seeds. A cell has the first check that failed without it, and after how many
states or seeds. The world makes one small step after another and has one partition, so it finds a fault of a rule much
sooner. The simulator, with 5 clients and 60 events, is for the shells around the rules.

\`npm run mutations\` writes this page, and fails if no check fails without a rule.

| without the rule | in the model | in the world | in the simulator |
| --- | --- | --- | --- |
`

const headOfShells = `
## Bugs in the shells, and rules of direct delivery

These are mistakes that a consumer, a gateway or a client could make although its rules decide correctly. Earlier versions
had some of them. They are followed by the rules that only direct delivery and observers of the registry have (\`domain\`), by those of
handlers with a limit and of events without a handler, and by those of tasks. Only the simulator runs these, those of tasks
with 3 clients and 30 events. If a bug needs several faults of a few kinds at the same time, the simulator runs with only
those kinds.

| without | in | in the simulator | faults |
| --- | --- | --- | --- |
`

/** What would not be found without the world. */
const whyWorld = (rows: ReadonlyArray<Row>): string => {
  const alone = rows.filter(({ simulator, world }) => world !== not_caught && simulator?.startsWith("not in") === true)
  return `
For ${alone.length} of these rules the world or one of its scripts fails, and the simulator does not fail within so many seeds. The
world is kept for them.
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
