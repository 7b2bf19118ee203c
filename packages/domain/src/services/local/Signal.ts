/** Wakes one fiber; raised while nobody waits, it is remembered. */
import { Effect } from "effect"

export class Signal {
  #isRaised = false
  #wake: (() => void) | undefined

  raise(): void {
    this.#isRaised = true
    this.#wake?.()
  }

  /** Done once it is raised, which lowers it. */
  readonly wait: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.#wake = () => {
      this.#isRaised = false
      this.#wake = undefined
      resume(Effect.void)
    }
    if (this.#isRaised) return this.#wake()
    return Effect.sync(() => {
      this.#wake = undefined
    })
  })
}
