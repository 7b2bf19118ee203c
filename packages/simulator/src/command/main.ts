/**
 * `npm run simulate -- --seed 7 --faults all --clients 20 --events 500`: one run of the whole system in virtual time.
 * `--seeds 1000 --from 1`: a range. `--forever`: until something fails. See docs/simulation.md.
 *
 * Ends with 1 if a rule did not hold, or if a fault or a rule of the protocol never came about in a range.
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { type FaultName, faultNames, run, type RunOptions, shrink } from "../simulation/index.ts"
import { production } from "../production/Production.ts"
import { runRange, seeds, Tally } from "./Range.ts"
import * as Report from "./Report.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    /** So many seeds, beginning at `--from`. */
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    forever: { type: "boolean", default: false },
    clients: { type: "string", default: "5" },
    /** In all. */
    events: { type: "string", default: "60" },
    /** Whether some events are those of tasks: `yes`, `no`; otherwise in every second seed. */
    tasks: { type: "string" },
    /** `all`, `none`, or names of faults, separated by commas. */
    faults: { type: "string", default: "all" },
    /** Of the faults that the seed plans only these, by number from 0; `none`. */
    only: { type: "string" },
    /** Other delays for the same seed. */
    salt: { type: "string", default: "0" },
    /** Prints what happened, also where nothing is wrong. */
    trace: { type: "boolean", default: false },
    threads: { type: "string", default: String(Math.min(4, availableParallelism())) },
  },
})

const numberOf = (name: string, text: string): number => {
  const n = Number(text)
  if (Number.isSafeInteger(n) && n >= 0) return n
  console.error(`--${name} is to be a number from 0, not ${text}`)
  return process.exit(2)
}

const faultsOf = (text: string): ReadonlyArray<FaultName> | undefined => {
  if (text === "all") return undefined
  if (text === "none") return []
  const asked = text.split(",")
  const unknown = asked.filter((flag) => !faultNames.some((name) => Report.flagOf(name) === flag))
  if (unknown.length === 0) return faultNames.filter((name) => asked.includes(Report.flagOf(name)))
  console.error(`no fault is called ${unknown.join(", ")}; there are:\n${faultNames.map(Report.flagOf).join("\n")}`)
  return process.exit(2)
}

const common: Omit<RunOptions, "seed"> = {
  clients: numberOf("clients", values.clients),
  events: numberOf("events", values.events),
  faults: faultsOf(values.faults),
  salt: numberOf("salt", values.salt),
  tasks: values.tasks === undefined ? undefined : values.tasks === "yes",
  ...(values.only === undefined
    ? {}
    : { only: values.only === "none" ? [] : values.only.split(",").map((index) => numberOf("only", index)) }),
}

/** Seeds from which on every fault and rule must have come about. */
const enough_seeds = 1_000

const one = (options: RunOptions): boolean => {
  const outcome = run(production, options, values.trace)
  if (values.trace) console.log(outcome.trace.join("\n"))
  if (outcome.violation === undefined) {
    console.log(Report.table(outcome.counts))
    console.log(
      `seed ${options.seed} holds: LIVE and complete ${Math.round(outcome.settled_ms)} ms after the last fault`,
    )
    return true
  }
  const shrunk = shrink(production, options, outcome)
  console.log(Report.failure(shrunk.options, shrunk.outcome, outcome.faults.length))
  return false
}

const range = async (from: number, count: number): Promise<boolean> => {
  const tally = new Tally()
  const begun_ms = performance.now()
  await runRange({
    runs: seeds(from, count, common),
    threads: numberOf("threads", values.threads),
    onAnswer: (answer) => {
      tally.add(answer)
      if (answer.failure !== undefined) console.log(`seed ${answer.options.seed}: ${answer.failure}`)
      if (tally.runs % 1_000 === 0) console.error(`${tally.runs} runs, ${tally.failures.length} failed`)
      return count !== Number.POSITIVE_INFINITY || answer.failure === undefined
    },
  })
  const silent =
    tally.runs >= enough_seeds && common.faults === undefined && common.tasks !== false
      ? Report.neverFired(tally.counts)
      : []
  console.log(Report.table(tally.counts))
  for (const name of silent) console.log(`NEVER  ${name}`)
  const seconds = ((performance.now() - begun_ms) / 1000).toFixed(0)
  const settled = `${Math.round(tally.settled_ms / tally.runs)} ms in the mean and ${Math.round(tally.slowest_ms)} ms at most`
  console.log(
    `${tally.runs} seeds from ${from} at commit ${Report.commit()}: ${tally.failures.length} failed; ` +
      `${(tally.virtual_ms / 3_600_000).toFixed(1)} virtual hours in ${seconds} s; ` +
      `LIVE and complete after the last fault: ${settled}`,
  )
  const first = tally.failures.sort((a, b) => a.options.seed - b.options.seed)[0]
  if (first !== undefined) one(first.options)
  return tally.failures.length === 0 && silent.length === 0
}

const isFine = values.forever
  ? await range(numberOf("from", values.from), Number.POSITIVE_INFINITY)
  : values.seeds === undefined
    ? one({ ...common, seed: numberOf("seed", values.seed) })
    : await range(numberOf("from", values.from), numberOf("seeds", values.seeds))
// Not at once: what is printed may not have been taken yet.
process.exitCode = isFine ? 0 : 1
