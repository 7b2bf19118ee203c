/** Reads what a socket sends: the arguments of `message` and `broadcast`, which may be anything. */
import { isNestedTooDeeply, nestingMessage } from "@nimbus/domain/json"
import { ChatMessageId } from "@nimbus/domain/protocol"
import { Result, Schema } from "effect"
import type { Json } from "effect/Schema"
import { InexactNumber } from "./Parser.ts"
import type { Answer, Refusal } from "./ChatEvents.ts"

export interface Incoming {
  readonly data: Json
  /** The client's own name for the message. */
  readonly id: ChatMessageId | undefined
}

/** Its last argument is where the answer goes, if it is a function. */
export const answerOf = (args: ReadonlyArray<unknown>): ((answer: Answer) => void) | undefined => {
  const last = args.at(-1)
  return typeof last === "function" ? (answer) => void last(answer) : undefined
}

/** `data`, then the id of the message if the client has one. */
export const incomingOf = (args: ReadonlyArray<unknown>, message_bytes: number): Result.Result<Incoming, Refusal> => {
  const [data, id, ...more] = typeof args.at(-1) === "function" ? args.slice(0, -1) : args
  if (data instanceof InexactNumber) return Result.fail({ code: "BAD_NUMBER", message: data.message })
  if (isNestedTooDeeply(data)) return bad(nestingMessage)
  if (!isJson(data)) return bad("the first argument is to be JSON: the data")
  if (id !== undefined && !isId(id)) return bad("the second argument is to be the message's id: 1 to 128 characters")
  if (more.length > 0) return bad("there are more arguments than data and id")
  const bytes = Buffer.byteLength(JSON.stringify(data))
  return bytes <= message_bytes
    ? Result.succeed({ data, id })
    : Result.fail({ code: "MESSAGE_TOO_BIG", message: `${bytes} bytes of JSON; at most ${message_bytes}` })
}

const isJson = Schema.is(Schema.Json)
const isId = Schema.is(ChatMessageId)

const bad = (message: string) => Result.fail({ code: "BAD_MESSAGE", message })
