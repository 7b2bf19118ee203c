/** `npm start` with the task of the bench. */
import { NodeRuntime } from "@effect/platform-node"
import { Handlers } from "@nimbus/domain/services"
import { Nimbus } from "@nimbus/server"
import { Layer, Schema, Stream } from "effect"
import { tokens } from "./Tokens.ts"

const ask = Handlers.task("tokens", {
  input: Schema.Struct({ per_second: Schema.Finite, for_ms: Schema.Finite }),
  part: Schema.Struct({ at: Schema.Finite, text: Schema.String }),
  handler: (asked) => Stream.fromAsyncIterable(tokens(asked), (failure) => failure),
})

Nimbus.layer.pipe(Layer.provide(Handlers.layer([ask])), Layer.launch, NodeRuntime.runMain)
