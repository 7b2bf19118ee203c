/** How a call ends: gRPC's status codes, and which of them says what the gateway has to say. */
import type { Http2ServerResponse } from "node:http2"
import { closeCodes, type CloseReason } from "@nimbus/domain/protocol"
import { Code } from "@connectrpc/connect"
import { acceptedEncodings } from "./Compression.ts"

/** The trailers of a call that ended as it should. */
export const okTrailers: Readonly<Record<string, string>> = { "grpc-status": "0" }

/** How a call ends when the gateway closes it. A client's retry policy waits `retry_ms` before it comes back. */
export const trailersOf = ({ code, reason, reconnect }: CloseReason, message: string, retry_ms: number) =>
  trailers(statusOf.get(code) ?? Code.Unavailable, `${reason}: ${message}`, reconnect ? retry_ms : undefined)

/** How a call ends of which it is not known who asks, or that may not be. `closed`: how a socket would be closed. */
export const denialOf = (
  { code, message }: { readonly code: string; readonly message: string },
  closed: CloseReason,
  retry_ms: number,
) =>
  trailers(
    statusOf.get(closed.code) ?? Code.Unavailable,
    `${code}: ${message}`,
    closed.reconnect ? retry_ms : undefined,
  )

/** What this server does not know how to do. */
export const unimplemented = (message: string) => trailers(Code.Unimplemented, message)

/** `retry_ms`: the trailer of gRFC A6, by which a server spreads those who come back. */
export const trailers = (code: Code, message: string, retry_ms?: number): Readonly<Record<string, string>> => ({
  "grpc-status": `${code}`,
  "grpc-message": percentEncoded(message),
  ...(retry_ms === undefined ? {} : { "grpc-retry-pushback-ms": `${retry_ms}` }),
})

/** Printable ASCII but for `%` stands as it is, and every other byte of the UTF-8 as `%` and two hexadecimal digits. */
export const percentEncoded = (message: string): string =>
  message
    .toWellFormed()
    .replaceAll(/[^\x20-\x24\x26-\x7e]+/g, (text) =>
      Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
    )

const statusOf: ReadonlyMap<number, Code> = new Map([
  [closeCodes.goingAway.code, Code.Unavailable],
  [closeCodes.idle.code, Code.Unavailable],
  [closeCodes.kicked.code, Code.Unavailable],
  [closeCodes.unavailable.code, Code.Unavailable],
  [closeCodes.tooSlow.code, Code.ResourceExhausted],
  [closeCodes.busy.code, Code.Unavailable],
  [closeCodes.tooBig.code, Code.ResourceExhausted],
  [closeCodes.shareUsedUp.code, Code.ResourceExhausted],
  [closeCodes.superseded.code, Code.Aborted],
  [closeCodes.badRequest.code, Code.InvalidArgument],
  [closeCodes.tokenExpired.code, Code.Unauthenticated],
  [closeCodes.unauthenticated.code, Code.Unauthenticated],
  [closeCodes.revoked.code, Code.Unauthenticated],
  [closeCodes.forbidden.code, Code.PermissionDenied],
  [closeCodes.inUse.code, Code.PermissionDenied],
])

/** What a call is answered with at first. */
export const head = { "content-type": "application/grpc", "grpc-accept-encoding": acceptedEncodings } as const

/** Answers a call with nothing but how it ends. */
export const answer = (response: Http2ServerResponse, trailers: Readonly<Record<string, string>>): void => {
  response.writeHead(200, head)
  response.addTrailers({ ...trailers })
  response.end()
}
