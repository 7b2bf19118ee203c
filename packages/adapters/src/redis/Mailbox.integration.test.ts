import { describe } from "@effect/vitest"
import type { MailboxLimits } from "@nimbus/domain"
import { mailboxSuite } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import { type RedisMailboxLimits, redisMailboxLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as RedisMailbox from "./Mailbox.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")
describe.skipIf(redis === undefined)("RedisMailbox", () => {
  let stores = 0
  const connection = Layer.unwrap(
    Effect.sync(() =>
      RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), prefix: `mailbox-${stores++}` }),
    ),
  )
  const layerOf = (storage: RedisMailboxLimits) => (limits: MailboxLimits) =>
    RedisMailbox.layerWith({ limits, storage }).pipe(Layer.provide(connection))
  mailboxSuite("in Redis", layerOf(redisMailboxLimits), { runs: 50 })
  const tiny = { block_bytes: 150, merge_bytes: 80, step_clients: 1 }
  mailboxSuite("in Redis, in tiny blocks", layerOf(tiny), { runs: 150 })
})
