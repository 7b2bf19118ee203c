/**
 * Which pages may open the chat. Browsers ask before long polling and not before a WebSocket, so both are held to it
 * here. Clients that are no browsers name no origin, and come in.
 */
import type { IncomingMessage } from "node:http"
import { Config, Context, Layer, Schema } from "effect"
import type { ServerOptions } from "socket.io"

/** `undefined`: nobody has said, so pages of this origin by polling, as browsers have it, and all by WebSocket. */
export const Origins = Context.Reference<ReadonlyArray<string> | undefined>("@nimbus/gateway/Origins", {
  defaultValue: () => undefined,
})

/** `*`, or origins as browsers name them, with commas between them. */
const List = Schema.String.check(
  Schema.makeFilter(
    (text) =>
      originsOf(text).every(isOrigin) || "must be origins such as https://chat.example, with commas between them",
  ),
)

const originsOf = (text: string): ReadonlyArray<string> => text.split(",").map((origin) => origin.trim())

const isOrigin = (text: string): boolean => text === "*" || URL.parse(text)?.origin === text

/** As `NIMBUS_CORS_ORIGINS` says. */
export const config = Config.option(Config.schema(List, "NIMBUS_CORS_ORIGINS")).pipe(
  Config.map((text) => (text._tag === "None" ? undefined : originsOf(text.value))),
)

export const layerWith = (origins: ReadonlyArray<string> | undefined) => Layer.succeed(Origins, origins)

export const corsOf = (
  origins: ReadonlyArray<string> | undefined,
): Pick<Partial<ServerOptions>, "cors" | "allowRequest"> => {
  if (origins === undefined) return {}
  if (origins.includes("*")) return { cors: { origin: "*" } }
  return {
    cors: { origin: [...origins] },
    allowRequest: (request, allow) => {
      if (isFrom(origins, request)) allow(null, true)
      else allow("this origin is not allowed", false)
    },
  }
}

const isFrom = (origins: ReadonlyArray<string>, { headers }: IncomingMessage): boolean =>
  headers.origin === undefined || origins.includes(headers.origin) || URL.parse(headers.origin)?.host === headers.host
