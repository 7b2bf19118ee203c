/** Tells the story on stdout, each line with the time since it began. */
import { Clock, Console, Effect } from "effect"

export interface Narrator {
  say(text: string): Effect.Effect<void>
  /** A line between two acts. */
  act(title: string): Effect.Effect<void>
}

export const make: Effect.Effect<Narrator> = Effect.gen(function* () {
  const began_ms = yield* Clock.currentTimeMillis
  const say = (text: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (now_ms) =>
      Console.log(`${((now_ms - began_ms) / 1000).toFixed(2).padStart(7)} s  ${text}`),
    )
  return { say, act: (title) => Effect.andThen(Console.log(""), say(title)) }
})
