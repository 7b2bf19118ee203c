/** One server as `npm start` has it, with a small heap, and one honest client on it that goes on while others attack. */
import { Schema } from "effect"
import { until } from "../../../scripts/services/Tools.ts"
import { Server } from "../fuzz/Server.ts"
import { notBack, type Rest } from "./Judgement.ts"
import { Helper, Window } from "./Talks.ts"

const answer_ms = 180_000
const heap_megabytes = 300

const Opened = Schema.Struct({ order: Schema.Literal("opened") })

export class TestEnvironment {
  readonly server: Server
  readonly #honest: Helper

  static async open(storage: "pglite" | "none" = "pglite"): Promise<TestEnvironment> {
    const server = await Server.start(storage, { NODE_OPTIONS: `--max-old-space-size=${heap_megabytes}` })
    const testEnvironment = new TestEnvironment(server, new Helper("honest.ts"))
    try {
      await testEnvironment.#honest.ask({ order: "begin", ports: server.ports }, Opened, answer_ms)
      // A server that has not counted it yet would seem to have a session too many later.
      const isCounted = async () => (await server.connections().catch(() => Number.NaN)) === 1
      if (!(await until(isCounted, answer_ms))) throw new Error("the honest client is not counted")
      return testEnvironment
    } catch (error) {
      await testEnvironment.close()
      throw error
    }
  }

  private constructor(server: Server, honest: Helper) {
    this.server = server
    this.#honest = honest
  }

  /** What the honest client sends from now on counts. */
  async openWindow(): Promise<void> {
    await this.#honest.ask({ order: "open window" }, Opened, answer_ms)
  }

  /** Waits until it was shown all of that. */
  closeWindow(): Promise<Window> {
    return this.#honest.ask({ order: "close window" }, Window, answer_ms)
  }

  /** What the server refused so far, by code. */
  async refused(): Promise<ReadonlyMap<string, number>> {
    const lines = (await this.server.metrics()).matchAll(/^nimbus_gateway_refused_total\{.*?code="(\w+)".*?\} (\d+)/gm)
    return new Map([...lines].map(([, code = "", count]) => [code, Number(count)]))
  }

  async rest(): Promise<Rest> {
    const connections = await this.server.connections().catch(() => Number.NaN)
    return { ...(await this.server.vitals()), connections }
  }

  /** Waits until the server is as it was at first, or the time is over. */
  async settle(first: Rest, within_ms: number): Promise<Rest> {
    let rest = await this.rest()
    await until(async () => {
      if (!this.server.isAlive) return true
      rest = await this.rest()
      return notBack(first, rest).length === 0
    }, within_ms)
    return rest
  }

  async close(): Promise<void> {
    await this.#honest.stop()
    await this.server.stop()
  }
}
