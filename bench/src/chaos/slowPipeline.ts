/** A pipeline whose `sq` takes 0 to 2 s for one event in 20, as a service does that it has to ask, and no time for the others. */
import { Handlers } from "@nimbus/domain"
import { run } from "@nimbus/server/pipeline"
import { Effect, Random, Schema } from "effect"

const slow_share = 0.05
const longest_ms = 2_000

const wait = Effect.flatMap(Random.next, (drawn) =>
  drawn < slow_share ? Effect.sleep((drawn / slow_share) * longest_ms) : Effect.void,
)

const sq = Handlers.make("sq", {
  input: Schema.Struct({ number: Schema.Int }),
  output: Schema.Struct({ number: Schema.Int, result: Schema.Int }),
  handler: ({ number }) => Effect.as(wait, { number, result: number * number }),
})

run(Handlers.layer([sq]))
