/**
 * The records of the chats topic, and their wire format. Their place in the log, (topic, partition, offset), is what
 * identifies them.
 *
 * | from | key | headers | value |
 * | --- | --- | --- | --- |
 * | a gateway | the room | `nimbus-chat: bare`, `nimbus-chat-id`, `nimbus-chat-sender`, `nimbus-chat-socket`, `nimbus-chat-author` | the data, as JSON |
 * | a gateway of before | the room | none of these | `{"id":"m1","sender":"WJ7Zq…","data":"hello"}` |
 * | anybody else | the room, or none | anything | any JSON: the data. Without a key its `room` or `group_id` names the room |
 *
 * 1. A value with `id`, `sender` and `data`, and nothing else, is one of before, unless a header marks it as bare.
 * 2. A key that is there and can be no room is not replaced by what the value says: the message is in no room.
 * 3. A record without a value (a tombstone) says nothing.
 * 4. Where there are locks the sender is the client id of the subject that wrote the message, and `nimbus-chat-socket` the
 *    socket that it came from; otherwise the sender is that socket.
 * 5. An author is there where the client chose the id itself. It stays the same over the client's connections: two records
 *    of one room with the same author and id are one message, sent again.
 */
import { Result, Schema } from "effect"
import type { Json } from "effect/Schema"
import { CorruptRecord } from "../Errors.ts"
import { inexactNumber, isExact } from "../json/ExactNumbers.ts"
import { isRoomId, RoomId, roomNamed, textUpTo } from "./Ids.ts"
import { utf8 } from "./internal/Utf8.ts"
import { isNestedTooDeeply, nestingMessage } from "../json/Nesting.ts"
import type { LogRecord } from "./Records.ts"

/** Names a message; chosen by its sender, or by the gateway: 1 to 128 characters. Not unique if a sender repeats itself. */
export const ChatMessageId = textUpTo(128).pipe(Schema.brand("ChatMessageId"))
export type ChatMessageId = typeof ChatMessageId.Type

/** The subject or the socket that a message came from, or whatever else its producer calls itself: 1 to 128 characters. */
export const ChatSender = textUpTo(128)

/** A message. Without `id` and `sender`: another service produced it so. Without `room`: it is in none. */
export const ChatMessage = Schema.Struct({
  room: Schema.optionalKey(RoomId),
  id: Schema.optionalKey(ChatMessageId),
  sender: Schema.optionalKey(ChatSender),
  /** The socket that it came from, where the sender is another name. */
  socket: Schema.optionalKey(ChatSender),
  data: Schema.Json,
})
export type ChatMessage = typeof ChatMessage.Type

/** A message of a room. */
export const RoomMessage = Schema.Struct({ ...ChatMessage.fields, room: RoomId })
export type RoomMessage = typeof RoomMessage.Type

/** Beside a value that is the data and nothing else. */
export const chatHeaders = {
  format: "nimbus-chat",
  id: "nimbus-chat-id",
  sender: "nimbus-chat-sender",
  socket: "nimbus-chat-socket",
  author: "nimbus-chat-author",
} as const
const bare = "bare"

/** What two records have in common that are one message. */
export interface ChatIdentity {
  readonly room: string
  readonly author: string
  readonly id: string
}

/** `undefined`: it is no other record's repeat. */
export const identityOf = ({ headers, key }: LogRecord): ChatIdentity | undefined => {
  const { [chatHeaders.format]: format, [chatHeaders.id]: id, [chatHeaders.author]: author } = headers ?? {}
  return format === bare && isId(id) && isSender(author) && isRoomId(key) ? { room: key, author, id } : undefined
}

/** The record of a message. `author`: of one whose id its client has chosen. */
export const encodeChat = ({ data, id, room, sender, socket }: RoomMessage, author?: string): LogRecord => ({
  key: room,
  value: utf8(JSON.stringify(data)),
  headers: {
    [chatHeaders.format]: bare,
    ...(id !== undefined && { [chatHeaders.id]: id }),
    ...(sender !== undefined && { [chatHeaders.sender]: sender }),
    ...(socket !== undefined && { [chatHeaders.socket]: socket }),
    ...(author !== undefined && { [chatHeaders.author]: author }),
  },
})

/** Whether a record says nothing at all. */
export const isTombstone = ({ value }: LogRecord): boolean => value.length === 0

/** Reads a record of the chats topic. `CorruptRecord`: its value is no JSON that can be handed on. */
export const decodeChat = (record: LogRecord): Result.Result<ChatMessage, CorruptRecord> =>
  Result.map(readChat(record), ({ message }) => message)

/** A chat message as it was read from a record. */
export interface ReadChat {
  readonly message: ChatMessage
  /** The value, as text. */
  readonly text: string
  /** The value is the data and nothing else. */
  readonly isBare: boolean
}

/** The same, with the value as it was. */
export const readChat = ({ headers, key, value }: LogRecord): Result.Result<ReadChat, CorruptRecord> => {
  const text = textOf(value)
  if (Result.isFailure(text)) return Result.fail(text.failure)
  const json = parsed(text.success)
  if (Result.isFailure(json)) return Result.fail(json.failure)
  const isMarked = headers?.[chatHeaders.format] === bare
  const wrapped = isMarked ? undefined : wrappedIn(json.success)
  const names = isMarked
    ? namesIn(headers[chatHeaders.id], headers[chatHeaders.sender], headers[chatHeaders.socket])
    : wrapped?.names
  const data = checked(wrapped === undefined ? json.success : wrapped.data, text.success)
  if (Result.isFailure(data)) return Result.fail(data.failure)
  const room = key === "" ? roomIn(json.success) : roomNamed(key)
  const message = { ...(room !== undefined && { room }), ...names, data: data.success }
  return Result.succeed({ message, text: text.success, isBare: wrapped === undefined })
}

/**
 * A number that another service wrote and a double can't hold stays as it is written: nobody here handles it, and it is
 * only to be written again. Sockets' own are refused before (`ExactNumbers`).
 */
const parse = (text: string): unknown =>
  inexactNumber(text) === undefined ? JSON.parse(text) : JSON.parse(text, asWritten)

const asWritten = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
  if (typeof value !== "number" || !Number.isFinite(value) || context?.source === undefined) return value
  return isExact(context.source) ? value : JSON.rawJSON(context.source)
}

declare global {
  interface JSON {
    /** What `JSON.stringify` writes as it is. */
    rawJSON(text: string): object
  }
}

/**
 * What is in a value with `id`, `sender` and `data` and nothing else. `undefined`: it is not such a value. `nullable`: so is
 * one whose id or sender is null.
 */
export const wrappedIn = (json: unknown, nullable = false) => {
  if (typeof json !== "object" || json === null || Object.keys(json).length !== 3) return undefined
  if (!("id" in json && "sender" in json && "data" in json)) return undefined
  const { data, id, sender } = json
  if (!isId(id) && !(nullable && id === null)) return undefined
  if (!isSender(sender) && !(nullable && sender === null)) return undefined
  return { names: namesIn(id, sender), data }
}

/** What is no id or no sender that we would have written is left out. */
const namesIn = (id: unknown, sender: unknown, socket?: unknown) => ({
  ...(isId(id) && { id }),
  ...(isSender(sender) && { sender }),
  ...(isSender(socket) && { socket }),
})

/** `json`: what `JSON.parse` gave of the text. */
export const checked = (json: unknown, { length }: string): Result.Result<Json, CorruptRecord> => {
  if (isNestedTooDeeply(json, length)) return corrupt(nestingMessage)
  return isJson(json) ? Result.succeed(json) : corrupt("a number is beyond all bounds")
}

/** The JSON of a text, or why it is none. */
export const parsed = (text: string): Result.Result<unknown, CorruptRecord> =>
  Result.try({ try: () => parse(text), catch: toCorrupt })

const textOf = (value: Uint8Array) => Result.try({ try: () => decoder.decode(value), catch: toCorrupt })

const roomIn = (json: unknown): RoomId | undefined =>
  roomNamed(fieldOf(json, "room")) ?? roomNamed(fieldOf(json, "group_id"))

const fieldOf = (json: unknown, name: string): unknown =>
  typeof json === "object" && json !== null ? Object.getOwnPropertyDescriptor(json, name)?.value : undefined

const isId = Schema.is(ChatMessageId)
const isSender = Schema.is(ChatSender)
const isJson = Schema.is(Schema.Json)

const decoder = new TextDecoder("utf-8", { fatal: true })

const toCorrupt = (error: unknown) =>
  new CorruptRecord({ reason: error instanceof Error ? error.message : String(error) })
const corrupt = (reason: string) => Result.fail(new CorruptRecord({ reason }))
