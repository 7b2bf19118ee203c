/**
 * The way from a process to a service and back. Each call takes its time there and back; what faults do to it is set
 * here. What was asked for is done even if whoever asked has died or given up meanwhile.
 */
import type { Dice } from "@nimbus/domain/testing/dice"
import { Effect, type Exit } from "effect"
import type { Kernel } from "./Kernel.ts"
import type { Process } from "./Process.ts"
import type { Trace } from "./Trace.ts"

/** What becomes of one call. */
type Fate = "done" | "refused" | "answer lost"

export class Line {
  readonly name: string
  /** Nothing answers. */
  isAway = false
  /** Of so many calls one is refused, and one done but answered with a failure. 0: none. */
  refuses_one_in = 0
  losesAnswer_one_in = 0
  /** Times the usual delay. */
  slowness = 1
  readonly dice: Dice
  readonly kernel: Kernel
  readonly trace: Trace

  constructor(name: string, kernel: Kernel, trace: Trace, dice: Dice) {
    this.name = name
    this.kernel = kernel
    this.trace = trace
    this.dice = dice
  }

  /** A delay of this line now, in ms: most of them short. */
  delay_ms(): number {
    const usual = this.dice.oneIn(16) ? this.dice.below(40) : this.dice.below(3)
    if (this.slowness === 1) return usual
    this.trace.count(`fault: ${this.name} slow`)
    return (usual + 1) * this.slowness
  }

  fate(): Fate {
    if (this.isAway) {
      this.trace.count(`fault: ${this.name} away`)
      return "refused"
    }
    if (this.refuses_one_in > 0 && this.dice.oneIn(this.refuses_one_in)) {
      this.trace.count(`fault: ${this.name} refuses`)
      return "refused"
    }
    if (this.losesAnswer_one_in > 0 && this.dice.oneIn(this.losesAnswer_one_in)) {
      this.trace.count(`fault: ${this.name} loses answers`)
      return "answer lost"
    }
    return "done"
  }

  call<A, E>(
    process: Process,
    what: string,
    perform: () => Exit.Exit<A, E>,
    unavailable: () => Exit.Exit<never, E>,
  ): Effect.Effect<A, E> {
    return Effect.callback<A, E>((resume) => {
      const fate = this.fate()
      this.kernel.after(this.delay_ms(), () => {
        if (fate !== "done") this.trace.say(process.name, () => `${this.name}: ${what}: ${fate}`)
        const exit = fate === "refused" ? unavailable() : perform()
        const answer = fate === "answer lost" ? unavailable() : exit
        this.kernel.after(this.delay_ms(), () => process.enter(() => resume(answer)))
      })
    })
  }
}
