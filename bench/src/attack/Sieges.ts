/** Attack after attack on one server, with a calm between. A server that has died is a breach; the next attack gets a new one. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Attack } from "./Field.ts"
import { TestEnvironment } from "./TestEnvironment.ts"
import { breachesOf, promised, type Rest } from "./Judgement.ts"
import { AttackReport, Helper, type Window } from "./Talks.ts"

export interface SiegesOptions {
  readonly attacks: ReadonlyArray<Attack>
  /** Of each attack. */
  readonly seconds: number
  readonly calm_seconds: number
  /** How long connections and memory may take to return. */
  readonly settle_ms: number
  /** Default: what is promised, on a machine that has nothing else to do. */
  readonly p99_ms?: number
  readonly storage?: "pglite" | "none"
  readonly report?: (row: Row) => void
}

export interface Row {
  readonly attack: Attack
  readonly breaches: ReadonlyArray<string>
  /** Undefined where the server has died. */
  readonly measured: Measured | undefined
}

export interface Measured {
  readonly achieved: AttackReport
  readonly honest: Window
  readonly before: Rest
  /** When the attack was over. Peak and stall are those of the attack. */
  readonly during: Rest
  readonly after: Rest
  readonly rss_peak_bytes: number
  /** How long it took until the server was as before. */
  readonly settled_ms: number
  readonly refused: ReadonlyMap<string, number>
}

const slack_ms = 120_000
const look_every_ms = 100

export const besiege = async (options: SiegesOptions): Promise<ReadonlyArray<Row>> => {
  const attackers = new Helper("attackers.ts")
  const rows: Array<Row> = []
  let camp: Camp | undefined
  try {
    for (const attack of options.attacks) {
      camp ??= await Camp.open(options, attackers)
      const row = await camp.endure(attack)
      rows.push(row)
      options.report?.(row)
      if (row.measured === undefined) camp = void (await camp.testEnvironment.close())
    }
    return rows
  } finally {
    await Promise.all([camp?.testEnvironment.close(), attackers.stop()])
  }
}

class Camp {
  readonly testEnvironment: TestEnvironment
  readonly #first: Rest
  readonly #options: SiegesOptions
  readonly #attackers: Helper
  #errors = 0

  static async open(options: SiegesOptions, attackers: Helper): Promise<Camp> {
    const testEnvironment = await TestEnvironment.open(options.storage)
    await sleep(options.calm_seconds * 1_000)
    return new Camp(testEnvironment, await testEnvironment.rest(), options, attackers)
  }

  private constructor(testEnvironment: TestEnvironment, first: Rest, options: SiegesOptions, attackers: Helper) {
    this.testEnvironment = testEnvironment
    this.#first = first
    this.#options = options
    this.#attackers = attackers
  }

  async endure(attack: Attack): Promise<Row> {
    try {
      const measured = await this.#measure(attack)
      return { attack, measured, breaches: await this.#judge(measured) }
    } catch (error) {
      if (this.testEnvironment.server.isAlive) throw error
      return { attack, measured: undefined, breaches: [`the process ended:\n${this.testEnvironment.server.printed}`] }
    }
  }

  async #measure(attack: Attack): Promise<Measured> {
    const { testEnvironment } = this
    const { calm_seconds, seconds, settle_ms } = this.#options
    const refusedBefore = await testEnvironment.refused()
    const before = await testEnvironment.rest()
    await testEnvironment.openWindow()
    let rss_peak_bytes = before.rss_bytes
    const look = () => (rss_peak_bytes = Math.max(rss_peak_bytes, testEnvironment.server.rss_bytes() ?? 0))
    const watch = setInterval(look, look_every_ms)
    const order = { attack: attack.name, ports: testEnvironment.server.ports, seconds }
    const achieved = await this.#attackers
      .ask(order, AttackReport, seconds * 1_000 + slack_ms)
      .finally(() => clearInterval(watch))
    const over_ms = performance.now()
    const honest = await testEnvironment.closeWindow()
    const during = await testEnvironment.rest()
    const after = await testEnvironment.settle(this.#first, settle_ms)
    const settled_ms = performance.now() - over_ms
    const refused = differences(refusedBefore, await testEnvironment.refused())
    await sleep(calm_seconds * 1_000)
    return { achieved, honest, before, during, after, rss_peak_bytes, settled_ms, refused }
  }

  async #judge({ achieved, after, honest }: Measured): Promise<ReadonlyArray<string>> {
    const { server } = this.testEnvironment
    const errors = server.errors - this.#errors
    this.#errors = server.errors
    const isReady = await server.isReady()
    const said = errors === 0 ? [] : [`it said:\n${server.printed.slice(-2_000)}`]
    const { p99_ms = promised.p99_ms, seconds } = this.#options
    const first = this.#first
    return [...breachesOf({ seconds, p99_ms, attack: achieved, honest, first, after, isReady, errors }), ...said]
  }
}

const differences = (
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> =>
  new Map(
    [...after]
      .map(([code, count]) => [code, count - (before.get(code) ?? 0)] as const)
      .filter(([, count]) => count > 0)
      .toSorted(([, a], [, b]) => b - a),
  )
