import { layerMemoryWith } from "./EventLogMemory.ts"
import { eventLogSuite } from "../testing/EventLogSuite.ts"

eventLogSuite("in memory", {
  layer: ({ partitions, retention, topics }) => layerMemoryWith({ partitions, topics, retentionByTopic: retention }),
})
