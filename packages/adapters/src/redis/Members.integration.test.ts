import { describe } from "@effect/vitest"
import { membersSuite } from "@nimbus/domain/testing"
import { Layer } from "effect"
import { inject } from "vitest"
import { RedisConnection } from "./Connection.ts"
import * as RedisMembers from "./Members.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")

describe.skipIf(redis === undefined)("RedisMembers", () => {
  membersSuite(
    "in Redis",
    RedisMembers.layer.pipe(
      Layer.provide(RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), prefix: "members" })),
    ),
  )
})
