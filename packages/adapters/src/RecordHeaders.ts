/** The headers of a record as the mailboxes keep them: JSON beside the value, and nothing where there are none. */
import type { Headers } from "@nimbus/domain/protocol"
import { Schema } from "effect"

/** As text. */
export const encode = (headers: Headers): string => JSON.stringify(headers)

/** As bytes; none for none. */
export const encodeBytes = (headers: Headers | undefined): Uint8Array =>
  headers === undefined ? none : encoder.encode(encode(headers))

/** From text. Throws what is not ours. */
export const decode: (text: string) => Headers = Schema.decodeSync(
  Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)),
)

/** From bytes. Throws what is not ours. */
export const decodeBytes = (bytes: Uint8Array): Headers => decode(decoder.decode(bytes))

const none = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder()
