import { describe } from "@effect/vitest"
import { ackChannelSuite, podChannelSuite } from "@nimbus/domain/testing"
import { Layer } from "effect"
import { inject } from "vitest"
import * as RedisAckChannel from "./AckChannel.ts"
import { RedisConnection } from "./Connection.ts"
import * as RedisPodChannel from "./PodChannel.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")
describe.skipIf(redis === undefined)("channels in Redis", () => {
  const connection = RedisConnection.layerWith(settingsOf(redis?.address ?? ""))
  podChannelSuite("in Redis", RedisPodChannel.layerWith({}).pipe(Layer.provide(connection)))
  ackChannelSuite("in Redis", RedisAckChannel.layer.pipe(Layer.provide(connection)))
})
