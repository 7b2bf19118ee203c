/** Strangers at the doors of a server with locks: how they knock, and what they hear. */
import { GrpcClient } from "@nimbus/gateway/testing"
import { Effect, Predicate } from "effect"
import { io } from "socket.io-client"
import { WebSocket } from "ws"
import { type Place, patience_ms } from "./Attempt.ts"

/** How somebody comes: what it shows, and from where it says that it is, which counts through a trusted proxy alone. */
export interface Knock {
  readonly token?: string | undefined
  readonly from?: string | undefined
  /** Shown in the first frame of a stream. */
  readonly later?: string | undefined
  readonly cookie?: string | undefined
}

const headersOf = ({ cookie, from, token }: Knock): Record<string, string> => ({
  ...(token !== undefined && { authorization: `Bearer ${token}` }),
  ...(from !== undefined && { "x-forwarded-for": from }),
  ...(cookie !== undefined && { cookie: `nimbus_session=${cookie}` }),
})

export const streams = ["/v1/stream", "/approach2/events", "/approach3/events"]

/** At a stream: `welcome <client>`, or the code that it is refused by and that of the close, or the status of HTTP. */
export const knock = ({ http }: Place, path: string, query: string, how: Knock): Promise<string> =>
  new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${http}${path}?${query}`, { headers: headersOf(how) })
    const heard: { code: string | undefined } = { code: undefined }
    const timer = setTimeout(() => end(`nothing within ${patience_ms} ms`), patience_ms)
    const end = (outcome: string) => {
      clearTimeout(timer)
      ws.terminate()
      resolve(outcome)
    }
    ws.on("unexpected-response", (_, response) => end(String(response.statusCode)))
    ws.on("error", reject)
    ws.on("open", () => how.later !== undefined && ws.send(JSON.stringify({ type: "auth", token: how.later })))
    ws.on("close", (code) => end(`${heard.code ?? "no code"} ${code}`))
    ws.on("message", (data: Buffer) => {
      const frame: unknown = JSON.parse(data.toString())
      const said: Readonly<Record<string, unknown>> = Predicate.isObject(frame) ? { ...frame } : {}
      if (said["type"] === "welcome") end(`welcome ${String(said["clientId"])}`)
      if (typeof said["code"] === "string") heard.code ??= said["code"]
    })
  })

/** At the call of gRPC: `welcome`, or the code that it ends with. */
export const call = ({ grpc }: Place, clientId: string, how: Knock): Promise<string> =>
  Effect.gen(function* () {
    const metadata = { client_id: clientId, notices: "true", ...headersOf(how) }
    const client = yield* GrpcClient.connect({ port: grpc, metadata })
    const ended = Effect.map(client.ended, ({ message }) => message.split(":", 1)[0] ?? "")
    const welcome = Effect.as(
      client.first("a welcome", (response) => response.welcome !== undefined),
      "welcome",
    )
    return yield* Effect.raceFirst(welcome, ended)
  }).pipe(Effect.scoped, Effect.timeout(patience_ms), Effect.runPromise)

/** At a room of the chat: `live`, or the code that it is refused by, or the status of HTTP. */
export const chat = ({ http }: Place, room: string, { token, ...how }: Knock): Promise<string> =>
  new Promise((resolve) => {
    const socket = io(`http://127.0.0.1:${http}`, {
      forceNew: true,
      reconnection: false,
      transports: ["polling"],
      extraHeaders: headersOf(how),
      auth: { room, ...(token !== undefined && { token }) },
    })
    const timer = setTimeout(() => end(`nothing within ${patience_ms} ms`), patience_ms)
    const end = (outcome: string) => {
      clearTimeout(timer)
      resolve(outcome)
      socket.disconnect()
    }
    socket.on("live", () => end("live"))
    socket.on("connect_error", (error) => {
      const data: unknown = "data" in error ? error.data : undefined
      const status: unknown = "description" in error ? error.description : undefined
      end(Predicate.hasProperty(data, "code") ? String(data.code) : String(status ?? error.message))
    })
    socket.on("disconnect", end)
  })

/** What came of a request. */
export interface Answer {
  readonly status: number
  /** `""` where it was not refused. */
  readonly code: string
  /** Seconds. */
  readonly retryAfter: number
  readonly body: unknown
}

/** A request with a body is a POST. */
export const ask = async ({ http }: Place, path: string, how: Knock, body?: object): Promise<Answer> => {
  const response = await fetch(`http://127.0.0.1:${http}${path}`, {
    headers: { ...headersOf(how), ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(patience_ms),
  })
  const text = await response.text()
  const said: unknown = text.startsWith("{") ? JSON.parse(text) : undefined
  return {
    status: response.status,
    code: !response.ok && Predicate.hasProperty(said, "code") ? String(said.code) : "",
    retryAfter: Number(response.headers.get("retry-after") ?? 0),
    body: said,
  }
}
