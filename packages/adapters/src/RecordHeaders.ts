/** The headers of a record as the mailboxes store them: as JSON beside the value, or nothing if there are none. */
import type { Headers } from "@nimbus/domain/protocol"
import { Schema } from "effect"

/** Encodes headers as text. */
export const encode = (headers: Headers): string => JSON.stringify(headers)

/** Encodes headers as bytes; no bytes if there are none. */
export const encodeBytes = (headers: Headers | undefined): Uint8Array =>
  headers === undefined ? none : encoder.encode(encode(headers))

/** Decodes text. Throws if it is not what `RecordHeaders` has written. */
export const decode: (text: string) => Headers = Schema.decodeSync(
  Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)),
)

/** Decodes bytes. Throws if they are not what `RecordHeaders` has written. */
export const decodeBytes = (bytes: Uint8Array): Headers => decode(decoder.decode(bytes))

const none = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder()
