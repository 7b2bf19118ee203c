/**
 * A short part of `npm run model`. Where Spin is missing it is left out, and says so; under
 * `NIMBUS_TEST_SERVICES=required` that is a failure.
 */
import { assert, describe, it } from "@effect/vitest"
import { account, refusals } from "./Conformance.ts"
import { type Macros, mixes } from "./Mixes.ts"
import { type Rule, rules } from "./Rules.ts"
import { check, missing, shortLimits, withAndWithout } from "./Spin.ts"
import {
  simulatedTraceOf,
  simulatorMacros,
  type Step,
  type Trace,
  traceLimits,
  traceOf,
  worldMacros,
} from "./Traces.ts"

const lacking = missing()
const isRequired = process.env["NIMBUS_TEST_SERVICES"] === "required"
if (lacking !== undefined) process.stderr.write(`model: its tests are left out: ${lacking}\n`)

const timeout = 300_000
const steps = 120

/** In seconds: the mixes with the fewest states, and the rules that broke a draft. */
const shortMixes = [
  "pushes come again",
  "without memory",
  "get the partition back",
  "barriers are lost",
  "requests are late",
  "under traffic: barriers",
  "everything at once",
  "tasks",
]
const shortRules = [
  "BARRIERS_WAIT",
  "ONE_REQUEST",
  "FINISHED_IS_ACKNOWLEDGED",
  "REPEATS",
  "ROUTE_IDS",
  "PUT_KEEPS_OLDER",
  "LIVE_AT_THE_END",
  "NEWEST_BARRIER",
  "ONLY_CLIENTS_ACK",
  "HELD_PREV",
  "ROUTE_STARTS_AT_BARRIER",
  "PUTS_IN_ORDER",
  "OFFSET_WITH_MAILBOXES",
  "TASK_",
]

const tracesOf = (from: number, count: number, remembers: boolean): ReadonlyArray<Trace> =>
  Array.from({ length: count }, (_, i) => traceOf({ seed: from + i, steps, remembers }))

describe("the model", () => {
  it("can be checked here", { skip: !isRequired }, () => assert.isUndefined(lacking))
})

describe.skipIf(lacking !== undefined)("the specification", () => {
  for (const { name, short, spec } of mixes.filter(({ name }) => shortMixes.some((part) => name.includes(part)))) {
    it(`holds in every state: ${name}`, { timeout }, async ({ annotate }) => {
      const checked = await check({ spec, macros: short }, shortLimits)
      assert.isUndefined(checked.violated, checked.steps.join("\n"))
      assert.isUndefined(checked.unfinished)
      assert.isAbove(checked.states, 10_000)
      await annotate(`${checked.states} states`)
    })
  }

  for (const rule of rules.filter(({ macro }) => shortRules.some((part) => macro.startsWith(part)))) {
    it(`fails without "${rule.rule}"`, { timeout }, async ({ annotate }) => {
      const { intact, mutant } = await withAndWithout(rule)
      assert.isUndefined(intact.violated, "with the rule it must hold")
      assert.isUndefined(intact.unfinished)
      assert.isDefined(mutant.violated)
      assert.isNotEmpty(mutant.steps, "it tells how it came to that")
      await annotate(`${mutant.violated}, after ${mutant.states} states`)
    })
  }

  it("can do without every rule that the list names", () => {
    const macros = rules.map(({ macro }: Rule) => macro)
    assert.deepStrictEqual(macros, [...new Set(macros)])
    for (const part of shortRules)
      assert.isTrue(
        macros.some((macro) => macro.startsWith(part)),
        part,
      )
  })
})

describe.skipIf(lacking !== undefined)("runs of the simulated world", () => {
  for (const remembers of [true, false]) {
    it(`are behaviours of the specification: a client with${remembers ? "" : "out"} memory`, { timeout }, async () => {
      const traces = tracesOf(0, 50, remembers)
      assert.deepStrictEqual((await refusals(traces, worldMacros(remembers))).map(account), [])
    })
  }

  it("meet every action", () => {
    assert.strictEqual(kindsOf([...tracesOf(0, 100, true), ...tracesOf(0, 100, false)]), 36)
  })

  it("are refused where one action is wrong, at that action", { timeout }, async () => {
    await refuseFalsified(tracesOf(0, 25, true), worldMacros(true))
  })
})

describe.skipIf(lacking !== undefined)("runs of the simulator, with the production shells", () => {
  it("are behaviours of the specification", { timeout }, async ({ annotate }) => {
    assert.deepStrictEqual((await refusals(simulated(), simulatorMacros)).map(account), [])
    const traces = simulated()
    const actions = traces.reduce((sum, { steps }) => sum + steps.length, 0)
    await annotate(`${traces.length} runs of ${actions} actions in all`)
  })

  it("meet every action but those of one socket and of stores that go back to one state of many", () => {
    assert.strictEqual(kindsOf(simulated()), 30)
  })

  it("are refused where one action is wrong, at that action", { timeout }, async () => {
    await refuseFalsified(simulated().slice(0, 25), simulatorMacros)
  })
})

/** From a seed on where a partition also comes back to a router that had it before. */
let made: ReadonlyArray<Trace> | undefined = undefined
const simulated = (): ReadonlyArray<Trace> =>
  (made ??= Array.from({ length: 200 }, (_, i) => simulatedTraceOf({ seed: 200 + i, events: 12 })))

const kindsOf = (traces: ReadonlyArray<Trace>): number =>
  new Set(traces.flatMap(({ steps }) => steps.map(([action]) => action))).size

const refuseFalsified = async (traces: ReadonlyArray<Trace>, macros: Macros): Promise<void> => {
  const wrong = traces.flatMap((trace) => falsified(trace))
  assert.isAbove(wrong.length, 80)
  const refused = await refusals(
    wrong.map(({ trace }) => trace),
    macros,
  )
  const allowed = new Map(refused.map((refusal) => [refusal.trace, refusal.allowed]))
  for (const { at, trace } of wrong) assert.strictEqual(allowed.get(trace), at, trace.words[at])
}

/** Of actions that leave the specification no choice. (Whether a router pushes, it has: to divert is always safe.) */
const told: ReadonlyArray<{ readonly action: number; readonly falsify: (step: Step) => Step }> = [
  { action: 3, falsify: ([action, seq]) => [action, seq + 1, 0, 0] },
  { action: 12, falsify: ([action, router, offset]) => [action, router, offset + 100, 0] },
  { action: 13, falsify: ([action, seq]) => [action, seq + 1, 0, 0] },
  { action: 20, falsify: ([action, pod, seq]) => [action, pod, seq + 1, 0] },
  { action: 15, falsify: ([action, pod, clock, epoch]) => [action, pod, clock, epoch + 1] },
  {
    action: 38,
    falsify: ([action, router, seq, route]) => [action, router, seq, route === 0 ? traceLimits.routes : 0],
  },
  { action: 6, falsify: ([action, router, seq, isPushed]) => [action, router, seq + 1, isPushed] },
]

/** Copies of a trace, each with its last action of some kind falsified. */
const falsified = (trace: Trace): ReadonlyArray<{ readonly trace: Trace; readonly at: number }> =>
  told.flatMap(({ action, falsify }) => {
    const at = trace.steps.findLastIndex(([other]) => other === action)
    const step = trace.steps[at]
    if (step === undefined) return []
    return [{ at, trace: { ...trace, steps: trace.steps.with(at, falsify(step)) } }]
  })
