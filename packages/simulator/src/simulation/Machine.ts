/**
 * A machine that runs one program, again whenever it has ended: one process after the other, each with a name of its
 * own. Faults crash it, stop it gracefully, or freeze it.
 */
import type { Dice } from "@nimbus/domain/testing/dice"
import type { Effect, Exit } from "effect"
import type { Kernel } from "./Kernel.ts"
import type { Process } from "./Process.ts"
import type { Trace } from "./Trace.ts"

export interface MachineOptions {
  readonly name: string
  readonly kernel: Kernel
  readonly trace: Trace
  readonly dice: Dice
  readonly newProcess: (name: string) => Process
  readonly program: (process: Process) => Effect.Effect<unknown, unknown>
  /** Called when its process has ended by itself. */
  readonly onEnd?: ((process: Process, exit: Exit.Exit<unknown, unknown>) => void) | undefined
}

/** How long a process may take to stop before it is killed. */
const stop_ms = 5_000

export class Machine {
  readonly name: string
  private readonly options: MachineOptions
  private process: Process | undefined = undefined
  private lives = 0
  private isStopping = false

  constructor(options: MachineOptions) {
    this.name = options.name
    this.options = options
    this.boot()
  }

  get running(): Process | undefined {
    return this.process
  }

  /** Answers whether there was something to crash. */
  crash(reboot_ms: number): boolean {
    if (this.process === undefined) return false
    this.process.crash()
    this.process = undefined
    this.reboot(reboot_ms)
    return true
  }

  stop(reboot_ms: number): boolean {
    const { process } = this
    if (process === undefined || !process.isRunning || this.isStopping) return false
    this.options.trace.say(process.name, () => "is told to stop")
    this.isStopping = true
    process.stop()
    this.options.kernel.after(stop_ms, () => {
      if (this.process === process) this.crash(reboot_ms)
    })
    return true
  }

  freeze(for_ms: number): boolean {
    const { process } = this
    if (process === undefined || !process.isRunning) return false
    process.freeze()
    this.options.kernel.after(for_ms, () => process.thaw())
    return true
  }

  private boot(): void {
    const { dice, newProcess, program, trace } = this.options
    const process = newProcess(`${this.name}.${++this.lives}`)
    this.process = process
    this.isStopping = false
    trace.say(process.name, () => "starts")
    process.start(program(process), (exit) => {
      trace.say(process.name, () => `ends${exit._tag === "Failure" && !this.isStopping ? ", failing" : ""}`)
      this.process = undefined
      this.options.onEnd?.(process, exit)
      this.reboot(200 + dice.below(1_000))
    })
  }

  private reboot(delay_ms: number): void {
    this.options.kernel.after(delay_ms, () => {
      if (this.process === undefined) this.boot()
    })
  }
}
