import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { encodeChat, RoomMessage } from "../protocol/Chat.ts"
import { archiveKeyOf, fromArchived, toArchived } from "./ChatArchive.ts"
import { escapeName, RoomId } from "../protocol/Ids.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import type { LogRecord } from "../protocol/Records.ts"

const partitions = 4
const stored = (record: LogRecord) => ({ ...record, offset: 7, timestamp: 1 })
const raw = (key: string, value: string) => stored({ key, value: new TextEncoder().encode(value) })
const at = (partition: number) => ({ partition, partitions })
const home = (key: string) => at(partitionOf(key, partitions))
const elsewhere = (key: string) => at((partitionOf(key, partitions) + 1) % partitions)
const room = RoomId.make("r")

describe("ChatArchive", () => {
  it.effect.prop(
    "a message is read from its row as it is read from the log, but for its socket",
    [RoomMessage],
    ([message]) =>
      Effect.sync(() => {
        const { key, value } = Result.getOrThrow(toArchived(stored(encodeChat(message)), home(message.room)))
        assert.strictEqual(key, escapeName(message.room))
        const { socket: _, ...expected } = JSON.parse(JSON.stringify(message))
        assert.deepStrictEqual(Result.getOrThrow(fromArchived(message.room, value)), expected)
      }),
  )

  it.each([
    [`{ "a" : 1.0, "a": 2 }`, `{"id":null,"sender":null,"data":{ "a" : 1.0, "a": 2 }}`],
    [`{"data":5}`, `{"id":null,"sender":null,"data":{"data":5}}`],
    [`{"id":"m","sender":"s","data":1.0}`, `{"id":"m","sender":"s","data":1.0}`],
  ])("the row of %s keeps it to the letter", (value, row) => {
    assert.deepStrictEqual(toArchived(raw("r", value), home("r")), Result.succeed({ key: "r", value: row }))
  })

  it.each([
    [`{"id":"m","sender":"s","data":1}`, { room, id: "m", sender: "s", data: 1 }],
    [`{"temperature":21.5}`, { room, data: { temperature: 21.5 } }],
    [`{"id":7,"sender":"s","data":1}`, { room, data: { id: 7, sender: "s", data: 1 } }],
    [`{"data":5}`, { room, data: { data: 5 } }],
    [`null`, { room, data: null }],
  ])("the row %s of before is still read", (row, message) => {
    const read: unknown = Result.getOrThrow(fromArchived(room, row))
    assert.deepStrictEqual(read, message)
  })

  it("records that have no place in a room's history stand beside it, by partition", () => {
    const keyOf = (record: ReturnType<typeof raw>, where: ReturnType<typeof at>) =>
      Result.getOrThrow(toArchived(record, where)).key
    assert.strictEqual(keyOf(raw("a b", "1"), elsewhere("a b")), `a%20b#${elsewhere("a b").partition}`)
    assert.strictEqual(keyOf(raw("", `{"room":"r"}`), home("r")), `r#${home("r").partition}`)
    assert.strictEqual(keyOf(raw("", "1"), at(3)), "#3")
    assert.strictEqual(keyOf(raw("x".repeat(257), "1"), at(3)), "#3")
    assert.notStrictEqual(archiveKeyOf(RoomId.make("r#2")), archiveKeyOf(room, 2))
  })
})
