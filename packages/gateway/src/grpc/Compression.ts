/** Compressed requests: gzip, the one compression that all of gRPC's libraries have. Responses are sent as they are. */
import { gunzipSync } from "node:zlib"

/** What a peer may compress its messages with. */
export const acceptedEncodings = "gzip,identity"

export type Encoding = "gzip" | "identity"

export const isEncoding = (name: string): name is Encoding => name === "gzip" || name === "identity"

/** A message of more than `message_bytes` is not made whole: whatever it pretends to be, it costs no more than that. */
export const gunzip = (message: Uint8Array, message_bytes: number): Uint8Array | "too-big" | "broken" => {
  try {
    return gunzipSync(message, { maxOutputLength: message_bytes })
  } catch (error) {
    const isLarge = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE"
    return isLarge ? "too-big" : "broken"
  }
}
