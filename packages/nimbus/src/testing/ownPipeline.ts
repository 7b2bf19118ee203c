/** A pipeline process with handlers of its own, as an application has it; with `--twice` two of one name. */
import { Handlers } from "@nimbus/domain"
import { Effect, Schema } from "effect"
import * as Pipeline from "../cluster/PipelineProcess.ts"

const order = Handlers.make("order", {
  input: Schema.String,
  output: Schema.String,
  handler: (item) => Effect.succeed(`a receipt for ${item}`),
})

Pipeline.main(process.argv.includes("--twice") ? [order, order] : [order])
