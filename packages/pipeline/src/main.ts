/** One pipeline process of a cluster, with the sample handlers. */
import { Handlers } from "@nimbus/domain"
import { run } from "./Process.ts"

run(Handlers.layer(Handlers.samples))
