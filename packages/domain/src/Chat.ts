/**
 * The records of the chats topic, and their wire format.
 *
 * A record's key is its room, which is the authority on where it belongs; its place in the log, (topic, partition,
 * offset), is what identifies it. Its value is JSON that is encoded once:
 *
 * ```
 * {"id":"m1","sender":"WJ7Zq…","data":"hello"}      from a gateway: the message's id, the socket that sent it
 * {"temperature":21.5}                              from another service: any JSON at all is the data
 * ```
 *
 * A value is read in the first way if it has `data` and nothing but these fields, `id` and `sender` being optional.
 */
import { Result, Schema } from "effect"
import { CorruptRecord } from "./Errors.ts"
import { utf8 } from "./internal/Utf8.ts"
import type { LogRecord } from "./Records.ts"

/** A room: 1 to 128 characters of `A-Za-z0-9._:@-`. It is the key of every record of that room. */
export const RoomId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._:@-]{1,128}$/)).pipe(Schema.brand("RoomId"))
export type RoomId = typeof RoomId.Type

/** Names a message; chosen by its sender, or by the gateway: 1 to 128 characters. Not unique if a sender repeats itself. */
export const ChatMessageId = Schema.String.check(Schema.isBetweenLength(1, 128)).pipe(Schema.brand("ChatMessageId"))
export type ChatMessageId = typeof ChatMessageId.Type

/** The socket that a message came from, or whatever else its producer calls itself: 1 to 128 characters. */
export const ChatSender = Schema.String.check(Schema.isBetweenLength(1, 128))

/** What a record's value says. */
const Value = Schema.Struct({
  id: Schema.optionalKey(ChatMessageId),
  sender: Schema.optionalKey(ChatSender),
  data: Schema.Json,
})

/** A message of a room. Without `id` and `sender`: another service produced it so. */
export const ChatMessage = Schema.Struct({ room: RoomId, ...Value.fields })
export type ChatMessage = typeof ChatMessage.Type

/** The record of a message. */
export const encodeChat = ({ room, ...value }: ChatMessage): LogRecord => ({
  key: room,
  value: utf8(JSON.stringify(value)),
})

/** Reads a record of the chats topic. `CorruptRecord`: its key is no room, or its value no JSON. */
export const decodeChat = ({ key, value }: LogRecord): Result.Result<ChatMessage, CorruptRecord> => {
  if (!isRoomId(key)) return corrupt(`its key is no room id: ${JSON.stringify(key.slice(0, 128))}`)
  let json: unknown
  try {
    json = JSON.parse(decoder.decode(value))
  } catch (error) {
    return corrupt(error instanceof Error ? error.message : String(error))
  }
  if (isOurs(json)) return Result.succeed({ room: key, ...json })
  return isJson(json) ? Result.succeed({ room: key, data: json }) : corrupt("a number is beyond all bounds")
}

export const isRoomId = Schema.is(RoomId)

const isJson = Schema.is(Schema.Json)
const isValue = Schema.is(Value)
const fields = new Set(Object.keys(Value.fields))

const isOurs = (json: unknown): json is typeof Value.Type =>
  isValue(json) && Object.keys(json).every((key) => fields.has(key))

const decoder = new TextDecoder("utf-8", { fatal: true })

const corrupt = (reason: string) => Result.fail(new CorruptRecord({ reason }))
