/** The process that the consumers run in. */
import { Context } from "effect"

/** Which process this is, in the steps of a journey. */
export class Instance extends Context.Reference<string>("@nimbus/pipeline/Instance", {
  defaultValue: () => `pipeline-${crypto.randomUUID().slice(0, 8)}`,
}) {}
