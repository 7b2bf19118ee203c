/**
 * Combines queries to a broker: one request is in flight at a time, and queries that arrive meanwhile share the next
 * one. A reply is therefore never older than its query, and many concurrent queries need no more requests than
 * sequential ones.
 */
import { Effect } from "effect"
import type { KafkaUnavailable } from "../Errors.ts"

export class Coalesced<K extends string, A> {
  readonly #load: (keys: ReadonlyArray<K>) => Effect.Effect<ReadonlyMap<K, A>, KafkaUnavailable>
  readonly #fork: (effect: Effect.Effect<void>) => unknown
  #waiting = new Map<K, Array<(answer: Effect.Effect<A | undefined, KafkaUnavailable>) => void>>()
  #isUnderWay = false

  /** `load` returns the replies that it has; `fork` runs it. */
  constructor(
    load: (keys: ReadonlyArray<K>) => Effect.Effect<ReadonlyMap<K, A>, KafkaUnavailable>,
    fork: (effect: Effect.Effect<void>) => unknown,
  ) {
    this.#load = load
    this.#fork = fork
  }

  /** `undefined` if there is no reply to this query. */
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

  /** After a turn, so that the queries of this turn share one request. */
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
