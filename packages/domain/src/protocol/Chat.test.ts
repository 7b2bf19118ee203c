import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { ChatMessageId, chatHeaders, decodeChat, encodeChat, identityOf, isTombstone, RoomMessage } from "./Chat.ts"
import { RoomId } from "./Ids.ts"
import type { Headers } from "./Records.ts"

const record = (key: string, text: string, headers?: Headers) => ({
  key,
  value: new TextEncoder().encode(text),
  headers,
})
const room = RoomId.make("r1")
const bare = { [chatHeaders.format]: "bare" }

describe("Chat", () => {
  it.effect.prop("a message is read as it was written", [RoomMessage], ([message]) =>
    Effect.sync(() => {
      // JSON has no negative zero.
      const expected = JSON.parse(JSON.stringify(message))
      assert.deepStrictEqual(Result.getOrThrow(decodeChat(encodeChat(message))), expected)
    }),
  )

  it("a message of a gateway is its room as the key, its data as the value, and the rest as headers", () => {
    const { headers, key, value } = encodeChat({
      room: RoomId.make("Küche 1"),
      id: ChatMessageId.make("m1"),
      sender: "s1",
      data: { text: "hello" },
    })
    assert.strictEqual(key, "Küche 1")
    assert.strictEqual(new TextDecoder().decode(value), `{"text":"hello"}`)
    assert.deepStrictEqual(headers, { "nimbus-chat": "bare", "nimbus-chat-id": "m1", "nimbus-chat-sender": "s1" })
  })

  it("where there are locks the sender is the subject, and the socket stands beside it", () => {
    const message = { room, id: ChatMessageId.make("m1"), sender: "alice", socket: "s1", data: 1 }
    const record = encodeChat(message)
    assert.strictEqual(record.headers?.["nimbus-chat-socket"], "s1")
    assert.deepStrictEqual(decodeChat(record), Result.succeed(message))
  })

  it("a message whose client chose its id is known again by its room, author and id", () => {
    const message = { room, id: ChatMessageId.make("m1"), sender: "s1", data: 1 }
    const record = encodeChat(message, "a1")
    assert.deepStrictEqual(identityOf(record), { room: "r1", author: "a1", id: "m1" })
    assert.deepStrictEqual(decodeChat(record), Result.succeed(message))
    assert.isUndefined(identityOf(encodeChat(message)))
    assert.isUndefined(identityOf({ ...record, headers: { ...record.headers, [chatHeaders.format]: "other" } }))
    const author = "x".repeat(129)
    assert.isUndefined(identityOf({ ...record, headers: { ...record.headers, [chatHeaders.author]: author } }))
  })

  it("a record of before is read as before, and one that looks like it but is marked as bare is data", () => {
    const before = `{"id":"m1","sender":"s1","data":{"text":"hello"}}`
    assert.deepStrictEqual(
      decodeChat(record("r1", before)),
      Result.succeed({ room, id: ChatMessageId.make("m1"), sender: "s1", data: { text: "hello" } }),
    )
    assert.deepStrictEqual(decodeChat(record("r1", before, bare)), Result.succeed({ room, data: JSON.parse(before) }))
  })

  it.each([
    `"hello"`,
    `7`,
    `null`,
    `[1,2]`,
    `{"temperature":21.5}`,
    `{"id":"m1","text":"no data"}`,
    `{"data":"x"}`,
    `{"data":"x","id":"m1"}`,
    `{"data":"x","more":1}`,
    `{"id":7,"sender":"s","data":1}`,
    `{"id":"m1","sender":null,"data":1}`,
    `{"id":"m1","sender":"s1","data":1,"more":1}`,
    `{"room":"r2","group_id":"r3"}`,
  ])("any other JSON, as %s, is the data of a message without a sender, in the room of its key", (json) => {
    assert.deepStrictEqual(decodeChat(record("r1", json)), Result.succeed({ room, data: JSON.parse(json) }))
  })

  it.each([
    { json: `{"room":"a b","text":1}`, named: "a b" },
    { json: `{"group_id":"g"}`, named: "g" },
    { json: `{"room":"r","group_id":"g"}`, named: "r" },
    { json: `{"room":"","group_id":"g"}`, named: "g" },
    { json: `{"room":7}`, named: "7" },
    { json: `{"group_id":1.5}`, named: "1.5" },
    { json: `{"room":"__proto__"}`, named: "__proto__" },
    { json: `{"id":"m1","sender":"s1","data":{"room":"r"}}`, named: undefined },
    { json: `{"room":["r"]}`, named: undefined },
    { json: `{"room":true}`, named: undefined },
    { json: `{"room":"\\ud800"}`, named: undefined },
    { json: `{"__proto__":{"room":"r"}}`, named: undefined },
    { json: `{}`, named: undefined },
    { json: `"room"`, named: undefined },
    { json: `null`, named: undefined },
    { json: `["room"]`, named: undefined },
  ])("without a key $json is in room $named", ({ json, named }) => {
    assert.strictEqual(Result.getOrThrow(decodeChat(record("", json))).room, named)
  })

  it("a key that can be no room is not replaced by what the value says", () => {
    const decoded = Result.getOrThrow(decodeChat(record("x".repeat(257), `{"room":"r"}`)))
    assert.deepStrictEqual(decoded, { data: { room: "r" } })
  })

  it.each([
    { "nimbus-chat": "bare", "nimbus-chat-id": "", "nimbus-chat-sender": "x".repeat(129) },
    { "nimbus-chat": "other", "nimbus-chat-id": "m1", "nimbus-chat-sender": "s1" },
    { "nimbus-chat-id": "m1", "nimbus-chat-sender": "s1" },
    Object.assign(Object.create(null), { constructor: "x", "": "y", a: "z".repeat(100_000) }),
  ])("headers that are not ours name nothing", (headers) => {
    assert.deepStrictEqual(decodeChat(record("r1", "1", headers)), Result.succeed({ room, data: 1 }))
  })

  it.each([
    { key: "r1", value: "", reason: /JSON/ },
    { key: "r1", value: "{", reason: /JSON/ },
    { key: "r1", value: "1e999", reason: /beyond all bounds/ },
    { key: "r1", value: "[".repeat(50_000) + "]".repeat(50_000), reason: /nested more than/ },
    { key: "", value: "{", reason: /JSON/ },
  ])("a record with key '$key' and value '$value' is corrupt", ({ key, reason, value }) => {
    const decoded = decodeChat(record(key, value))
    assert(Result.isFailure(decoded))
    assert.match(decoded.failure.reason, reason)
  })

  it.each([`{"id":9007199254740993}`, `[0.1234567890123456789,1,"9007199254740993"]`, "-12345678901234567890"])(
    "the numbers of another service, as in %s, are written again as they are",
    (json) => {
      const decoded = decodeChat(record("r1", json))
      assert.strictEqual(JSON.stringify(Result.getOrThrow(decoded).data), json)
    },
  )

  it("bytes that are no UTF-8 are corrupt", () => {
    assert.isTrue(Result.isFailure(decodeChat({ key: "r1", value: Uint8Array.of(0x22, 0xff, 0x22) })))
  })

  it("only a record without a value says nothing", () => {
    assert.isTrue(isTombstone(record("r1", "")))
    assert.isFalse(isTombstone(record("", "{")))
  })
})
