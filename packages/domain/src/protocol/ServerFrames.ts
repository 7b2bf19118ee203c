/**
 * Reads what a gateway sent, for the SDK. Reads as the schema `Frames.ServerFrame` does, but without it, so that a page
 * need not load the decoder of schemas: a property holds the two together.
 */
import * as Result from "effect/Result"
import type { BadFrame, ServerFrame } from "./Frames.ts"
import {
  isArrayOf,
  isCursor,
  isEpoch,
  isEventId,
  isIncarnation,
  isInteger,
  isObject,
  isSeq,
  isStatusName,
  isText,
} from "./Guards.ts"
import { parseJsonText } from "../json/JsonText.ts"

/** A frame, or what is wrong with it. Keys that the protocol does not know are passed over. */
export const parse = (text: string): Result.Result<ServerFrame, BadFrame> => {
  const json = parseJsonText(text)
  if (Result.isFailure(json)) return bad("NOT_JSON", json.failure)
  return isFrame(json.success) ? Result.succeed(json.success) : bad("BAD_FRAME", faultIn(json.success) ?? "")
}

const bad = (code: BadFrame["code"], message: string) => Result.fail({ code, message, id: undefined })

type Fields = Readonly<Record<string, (value: unknown) => boolean>>

const optional =
  (isRight: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || isRight(value)

const limits: Fields = {
  frame_bytes: isInteger,
  window_results: isInteger,
  events_per_second: isInteger,
  idle_timeout_ms: isInteger,
  dedupe_records: optional(isInteger),
}

/** Of each frame its fields. The items of `results` are trusted: their bytes come from our own encoder. */
const frames: Readonly<Record<ServerFrame["type"], Fields>> = {
  welcome: {
    clientId: isText,
    epoch: isEpoch,
    status: isStatusName,
    log: isIncarnation,
    after: isCursor,
    limits: (value) => isObject(value) && wrongField(value, limits) === undefined,
  },
  accepted: { ids: (value) => isArrayOf(value, isEventId) },
  cancelling: { ids: (value) => isArrayOf(value, isEventId) },
  refused: {
    id: optional(isText),
    code: isText,
    message: isText,
    capability: optional(isText),
    retry_ms: optional(isInteger),
  },
  results: { items: Array.isArray },
  status: { status: isStatusName },
  lost: { after: isCursor, upTo: optional(isSeq) },
  error: { code: isText, message: isText, retry_ms: optional(isInteger) },
  expiring: { seconds: isInteger },
  authenticated: { seconds: optional(isInteger) },
  pong: {},
}

const wrongField = (frame: Readonly<Record<string, unknown>>, fields: Fields): string | undefined => {
  for (const name in fields) if (!fields[name]!(frame[name])) return name
  return undefined
}

const isType = (type: unknown): type is ServerFrame["type"] => isText(type) && Object.hasOwn(frames, type)

const isFrame = (value: unknown): value is ServerFrame => faultIn(value) === undefined

const faultIn = (value: unknown): string | undefined => {
  if (!isObject(value)) return "is no object"
  const { type } = value
  if (!isType(type)) return "has no type that the protocol knows"
  const wrong = wrongField(value, frames[type])
  return wrong === undefined ? undefined : `${wrong} of a frame of type ${type} is not as the protocol has it`
}
