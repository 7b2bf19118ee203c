import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { ChatMessage, ChatMessageId, decodeChat, encodeChat, RoomId } from "./Chat.ts"

const record = (key: string, text: string) => ({ key, value: new TextEncoder().encode(text) })
const room = RoomId.make("r1")

describe("Chat", () => {
  it.effect.prop("a message is read as it was written", [ChatMessage], ([message]) =>
    Effect.sync(() => {
      // JSON has no negative zero.
      const expected = JSON.parse(JSON.stringify(message))
      assert.deepStrictEqual(Result.getOrThrow(decodeChat(encodeChat(message))), expected)
    }),
  )

  it("a message of a gateway is keyed by its room and encoded once", () => {
    const { key, value } = encodeChat(
      ChatMessage.make({ room, id: ChatMessageId.make("m1"), sender: "s1", data: { text: "hello" } }),
    )
    assert.strictEqual(key, "r1")
    assert.strictEqual(new TextDecoder().decode(value), `{"id":"m1","sender":"s1","data":{"text":"hello"}}`)
  })

  it.each([
    `"hello"`,
    `7`,
    `null`,
    `[1,2]`,
    `{"temperature":21.5}`,
    `{"id":"m1","text":"no data"}`,
    `{"data":"x","more":1}`,
    `{"data":1,"id":7}`,
  ])("any other JSON, as %s, is the data of a message without a sender", (json) => {
    assert.deepStrictEqual(decodeChat(record("r1", json)), Result.succeed({ room, data: JSON.parse(json) }))
  })

  it.each([
    { key: "", value: "1", reason: /^its key is no room id: ""/ },
    { key: "a room", value: "1", reason: /^its key is no room id/ },
    { key: "x".repeat(129), value: "1", reason: /^its key is no room id/ },
    { key: "r1", value: "", reason: /JSON/ },
    { key: "r1", value: "{", reason: /JSON/ },
    { key: "r1", value: "1e999", reason: /beyond all bounds/ },
  ])("a record with key '$key' and value '$value' is corrupt", ({ key, reason, value }) => {
    const decoded = decodeChat(record(key, value))
    assert(Result.isFailure(decoded))
    assert.match(decoded.failure.reason, reason)
  })

  it("bytes that are no UTF-8 are corrupt", () => {
    assert.isTrue(Result.isFailure(decodeChat({ key: "r1", value: Uint8Array.of(0x22, 0xff, 0x22) })))
  })
})
