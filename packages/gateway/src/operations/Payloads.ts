/** What records carry, as it is shown: the text of their data, bounded, and with every digit that it was written with. */
import { membersOf } from "@nimbus/domain/json"
import type { Payload } from "@nimbus/domain/admin"

/** The data of an event or a result, or why there is none; `undefined`: it carries neither. Shown up to `shown_bytes`. */
export const payloadOf = (value: Uint8Array, shown_bytes: number): Payload | undefined => {
  const members = membersOf(decoder.decode(value))
  const text = members.get("data") ?? members.get("error")
  if (text === undefined) return undefined
  const bytes = encoder.encode(text)
  return { text: bytes.length <= shown_bytes ? text : beginningOf(bytes.subarray(0, shown_bytes)), bytes: bytes.length }
}

/** Without the half of a character that a cut may leave. */
const beginningOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes, { stream: true })

const decoder = new TextDecoder()
const encoder = new TextEncoder()
