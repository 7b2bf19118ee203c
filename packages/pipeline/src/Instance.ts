/** The process that the consumers run in. */
import { RandomIds } from "@nimbus/domain/services"
import { Context } from "effect"

/** Which process this is, in the steps of a journey. Default: a random name. */
export class Instance extends Context.Reference<string>("@nimbus/pipeline/Instance", {
  defaultValue: () => `pipeline-${RandomIds.defaultValue().uuid().slice(0, 8)}`,
}) {}
