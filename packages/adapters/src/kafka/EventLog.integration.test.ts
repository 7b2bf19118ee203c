import { describe } from "@effect/vitest"
import { Topics } from "@nimbus/domain/services"
import { eventLogSuite } from "@nimbus/domain/testing"
import { Layer } from "effect"
import { inject } from "vitest"
import { layerWith } from "./EventLog.ts"

const { kafka } = inject("services")
const brokers = [kafka?.brokers ?? "none"]

describe.skipIf(kafka === undefined)("Kafka", () => {
  const log = (request: Parameters<Parameters<typeof eventLogSuite>[1]["layer"]>[0]) =>
    layerWith({ brokers, ...request }).pipe(Layer.provide(Topics.layerDefault))
  // Retention removes whole segments, of at least 1 MiB.
  eventLogSuite("Kafka", { layer: log, reopen: log, retainsPromptly: false })
})
