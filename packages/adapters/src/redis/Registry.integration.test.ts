import { describe } from "@effect/vitest"
import { registrySuite } from "@nimbus/domain/testing"
import { Layer } from "effect"
import { inject } from "vitest"
import { RedisConnection } from "./Connection.ts"
import * as RedisRegistry from "./Registry.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")
describe.skipIf(redis === undefined)("RedisRegistry", () => {
  const connection = RedisConnection.layerWith(settingsOf(redis?.address ?? ""))
  registrySuite("in Redis", RedisRegistry.layer.pipe(Layer.provide(connection)))
})
