import { assert, describe, it } from "@effect/vitest"
import { Incarnation, type StoredRecord } from "@nimbus/domain/protocol"
import { Effect } from "effect"
import { chatLimits, gatewayLimits } from "../Limits.ts"
import { Counts } from "../Metrics.ts"
import { PartitionReader } from "./PartitionReader.ts"

const reader = (recent_bytes: number) =>
  new PartitionReader({
    topic: "chats",
    isOpen: false,
    partition: 0,
    incarnation: Incarnation.make("a life"),
    secret: "a secret",
    end: 0,
    limits: { ...gatewayLimits, chat: { ...chatLimits, recent_bytes } },
    counts: new Counts(),
    send: () => {},
    tell: () => {},
    memberOf: () => undefined,
    catchUp: () => {},
    pass: () => {},
  })

const chunk = (offset: number, record: Pick<StoredRecord, "key" | "headers">) => ({
  partition: 0,
  from: offset,
  next: offset + 1,
  records: [{ value: new Uint8Array(1), offset, timestamp: 0, ...record }],
})

describe("PartitionReader", () => {
  it.effect("what others wrote beside a value counts for what it keeps in memory, as the value does", () =>
    Effect.gen(function* () {
      const large = "x".repeat(10_000)
      for (const record of [{ key: large }, { key: "", headers: { large } }, { key: "", headers: { [large]: "" } }]) {
        const one = reader(50_000)
        for (let offset = 0; offset < 20; offset++) yield* one.take(chunk(offset, record))
        assert.isAtLeast(one.recentFrom, 15)
        assert.strictEqual(one.position, 20)
      }
    }),
  )
})
