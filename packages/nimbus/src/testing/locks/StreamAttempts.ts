/** The WebSockets. */
import { Predicate } from "effect"
import { WebSocket } from "ws"
import { type Attempt, client, patience_ms, type Place, unsentSeq } from "./Attempt.ts"

type Frame = Readonly<Record<string, unknown>>

interface Try {
  /** Beside the client. */
  readonly query?: string
  /** What is sent once it is LIVE. Default: nothing, and to be LIVE is all. */
  readonly sent?: object
  /** Whether this frame says that it was done. */
  readonly isDone?: (frame: Frame) => boolean
}

/** The first that tells what came of it: a code, a close, or that it is done. */
const ask =
  (path: string, { isDone, query = "", sent }: Try) =>
  ({ http }: Place, token: string | undefined): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const ws = new WebSocket(`ws://127.0.0.1:${http}${path}?clientId=${client}${query}`, { headers })
      const timer = setTimeout(() => end(`nothing within ${patience_ms} ms`), patience_ms)
      const end = (outcome: string) => {
        clearTimeout(timer)
        ws.terminate()
        resolve(outcome)
      }
      ws.on("error", reject)
      ws.on("close", (_, reason) => end(reason.toString()))
      ws.on("message", (data: Buffer) => {
        const frame: unknown = JSON.parse(data.toString())
        if (!Predicate.isObject(frame)) return end("a frame that is no object")
        const said: Frame = { ...frame }
        if (isDone?.(said) === true) return end("OK")
        if (typeof said["code"] === "string") return end(said["code"])
        if (!isLive(said)) return
        if (sent === undefined) end("OK")
        else ws.send(JSON.stringify(sent))
      })
    })

const isLive = ({ data, status, type }: Frame): boolean => type === "status" && (status ?? data) === "LIVE"

const event = { type: "event", id: "e1", name: "sq", data: { number: 3 } }

interface Path {
  readonly path: string
  /** To be told of everything. */
  readonly query: string
  readonly accepted: string
}

const attemptsAt = ({ accepted, path, query }: Path): ReadonlyArray<Attempt> => {
  const quiet = `${query}&ack=client`
  const attempt = (what: string, capability: string, besides: ReadonlyArray<string>, how: Try): Attempt => ({
    transport: path,
    what,
    capability,
    isAbout: true,
    besides,
    attempt: ask(path, how),
  })
  const connected = [`connect:${client}`, "read"]
  return [
    attempt("to connect", `connect:${client}`, ["read"], { query: quiet }),
    attempt("to read", "read", [`connect:${client}`], { query: quiet }),
    attempt("to have what it reads acknowledged", "ack", connected, { query }),
    attempt("to come back with `after`", "ack", connected, {
      query: `${quiet}&after=0`,
      isDone: ({ code }) => code === "AFTER_BEYOND_END",
    }),
    attempt("to acknowledge", "ack", connected, {
      query: quiet,
      sent: { type: "ack", seq: unsentSeq },
      isDone: ({ code }) => code === "ACK_BEYOND_SENT",
    }),
    attempt("to send an event", "send:sq", connected, {
      query: quiet,
      sent: event,
      isDone: ({ type }) => type === accepted,
    }),
    attempt("to cancel a task", "cancel", connected, {
      query: quiet,
      sent: { type: "cancel", id: "e1" },
      isDone: ({ type }) => type === "cancelling",
    }),
    attempt("to have its events sampled", "journey", connected, { query: `${quiet}&journey=true` }),
  ]
}

export const streams: ReadonlyArray<Attempt> = [
  { path: "/v1/stream", query: "", accepted: "accepted" },
  { path: "/approach3/events", query: "&frames=all", accepted: "event_accepted" },
  { path: "/approach2/events", query: "&frames=all", accepted: "event_accepted" },
].flatMap(attemptsAt)
