/**
 * Questions to a broker, asked together: one request at a time, and questions that arrive while it is in flight share
 * the next one. So an answer is never older than its question, and many questions cost no more requests than one after
 * the other.
 */
import { Effect } from "effect"
import type { KafkaUnavailable } from "../Errors.ts"

export class Coalesced<K extends string, A> {
  readonly #load: (keys: ReadonlyArray<K>) => Effect.Effect<ReadonlyMap<K, A>, KafkaUnavailable>
  readonly #fork: (effect: Effect.Effect<void>) => unknown
  #waiting = new Map<K, Array<(answer: Effect.Effect<A | undefined, KafkaUnavailable>) => void>>()
  #isUnderWay = false

  /** `load` answers what it can; `fork` runs it. */
  constructor(
    load: (keys: ReadonlyArray<K>) => Effect.Effect<ReadonlyMap<K, A>, KafkaUnavailable>,
    fork: (effect: Effect.Effect<void>) => unknown,
  ) {
    this.#load = load
    this.#fork = fork
  }

  /** `undefined`: there is no answer to this. */
  ask(key: K): Effect.Effect<A | undefined, KafkaUnavailable> {
    return Effect.callback((resume) => {
      const others = this.#waiting.get(key)
      if (others === undefined) this.#waiting.set(key, [resume])
      else others.push(resume)
      if (!this.#isUnderWay) {
        this.#isUnderWay = true
        this.#fork(this.#loading)
      }
    })
  }

  /** After a turn, so that those who ask in this one are asked for together. */
  readonly #loading: Effect.Effect<void> = Effect.andThen(
    Effect.yieldNow,
    Effect.suspend(() => {
      const asked = this.#waiting
      this.#waiting = new Map()
      return Effect.exit(this.#load([...asked.keys()])).pipe(
        Effect.flatMap((exit) => {
          for (const [key, resumes] of asked) {
            const answer = Effect.map(exit, (answers) => answers.get(key))
            for (const resume of resumes) resume(answer)
          }
          if (this.#waiting.size > 0) return this.#loading
          this.#isUnderWay = false
          return Effect.void
        }),
      )
    }),
  )
}
