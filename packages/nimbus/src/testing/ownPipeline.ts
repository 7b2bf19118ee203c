/** A pipeline process with a handler and a task of its own, as an application has it; with `--twice` two of one name. */
import { Handlers } from "@nimbus/domain"
import { Effect, Schema, Stream } from "effect"
import * as Pipeline from "../cluster/PipelineProcess.ts"

const order = Handlers.make("order", {
  input: Schema.String,
  output: Schema.String,
  handler: (item) => Effect.succeed(`a receipt for ${item}`),
})

const tell = Handlers.task("tell", {
  input: Schema.String,
  part: Schema.String,
  handler: (hero) => Stream.make("once upon a time ", hero),
})

Pipeline.main(process.argv.includes("--twice") ? [order, tell, order] : [order, tell])
