/**
 * What the processes of a siege say to each other. Whatever comes is decoded: a figure that is no number, as JSON has it,
 * is an error and never a cell of the table.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Schema } from "effect"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Duration = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Ports = Schema.Struct({ http: Count, grpc: Count })

/** To the process of the honest client: begin to send; begin a new window; tell of it; end. */
export const HonestOrder = Schema.Union([
  Schema.Struct({ order: Schema.Literal("begin"), ports: Ports }),
  Schema.Struct({ order: Schema.Literal("open window") }),
  Schema.Struct({ order: Schema.Literal("close window") }),
])

/** What became of the events that were sent in a window. */
export const Window = Schema.Struct({
  sent: Count,
  /** Of those. Undefined where no result has come. */
  p50_ms: Schema.UndefinedOr(Duration),
  p99_ms: Schema.UndefinedOr(Duration),
  max_ms: Schema.UndefinedOr(Duration),
  /** Of those, without a result when the patience was over. */
  missing: Count,
  /** Since the client began. */
  repeated: Count,
  disordered: Count,
  refused: Count,
  connections: Count,
  /** The longest time that the honest process itself stood still: above it nothing can be said about the server. */
  own_stall_ms: Duration,
})
export type Window = typeof Window.Type

export const AttackOrder = Schema.Struct({ attack: Schema.String, ports: Ports, seconds: Duration })

export const AttackReport = Schema.Struct({
  sent: Count,
  connections: Count,
  ended: Count,
  took_ms: Duration,
  /** Of one core. */
  cpu_ms: Duration,
})
export type AttackReport = typeof AttackReport.Type

/** A process of this folder that answers each order with one message. */
export class Helper {
  readonly #child: ChildProcess

  constructor(file: string) {
    const path = fileURLToPath(new URL(file, import.meta.url))
    this.#child = fork(path, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" })
    const kill = () => this.#child.kill("SIGKILL")
    process.once("exit", kill)
    this.#child.once("exit", () => process.off("exit", kill))
  }

  /** Fails if the process ends meanwhile, or says something else. */
  async ask<A>(order: object, answer: Schema.Codec<A, unknown>, patience_ms: number): Promise<A> {
    const ended = new AbortController()
    const end = (): void => ended.abort(new Error(`the helper ended with ${this.#child.exitCode}`))
    this.#child.once("exit", end)
    try {
      const told = once(this.#child, "message", {
        signal: AbortSignal.any([ended.signal, AbortSignal.timeout(patience_ms)]),
      })
      this.#child.send(order)
      return Schema.decodeUnknownSync(answer)((await told)[0])
    } finally {
      this.#child.off("exit", end)
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, "exit")
    this.#child.kill("SIGTERM")
    await exited
  }
}
