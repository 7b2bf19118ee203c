/** Socket.IO. */
import { Predicate } from "effect"
import { io, type Socket } from "socket.io-client"
import { type Attempt, client, patience_ms, type Place, room } from "./Attempt.ts"

type Try = (socket: Socket, end: (outcome: string) => void) => void

/** The first that tells what came of it. */
const ask =
  (transports: ReadonlyArray<"polling" | "websocket">, auth: object, attempt: Try) =>
  ({ http }: Place, token: string | undefined): Promise<string> =>
    new Promise((resolve) => {
      const socket = io(`http://127.0.0.1:${http}`, {
        forceNew: true,
        reconnection: false,
        transports: [...transports],
        auth: { room, ...auth, ...(token !== undefined && { token }) },
      })
      const timer = setTimeout(() => end(`nothing within ${patience_ms} ms`), patience_ms)
      const end = (outcome: string) => {
        clearTimeout(timer)
        resolve(outcome)
        socket.disconnect()
      }
      socket.on("connect_error", (error) => end(codeIn("data" in error ? error.data : undefined) ?? error.message))
      socket.on("refused", (refusal: unknown) => end(codeIn(refusal) ?? "refused without a code"))
      socket.on("disconnect", (reason) => end(reason))
      attempt(socket, end)
    })

const codeIn = (u: unknown): string | undefined =>
  Predicate.hasProperty(u, "code") && typeof u.code === "string" ? u.code : undefined

const live: Try = (socket, end) => void socket.on("live", () => end("OK"))

const says =
  (name: string): Try =>
  (socket, end) =>
    void socket.on("live", () =>
      socket.emit(name, "hello", (answer: unknown) => {
        const error = Predicate.hasProperty(answer, "error") ? answer.error : undefined
        end(error === undefined ? "OK" : (codeIn(error) ?? "an error without a code"))
      }),
    )

const join = `room:join:${room}`
const connect = `connect:${client}`

const attemptsBy = (transport: "polling" | "websocket"): ReadonlyArray<Attempt> => {
  const attempt = (what: string, capability: string, besides: ReadonlyArray<string>, auth: object, how: Try) => ({
    transport: `/socket.io/ by ${transport}`,
    what,
    capability,
    isAbout: true,
    besides,
    attempt: ask([transport], auth, how),
  })
  return [
    attempt("to be in a room", join, [connect], {}, live),
    attempt("to write in a room", `room:publish:${room}`, [connect, join], {}, says("message")),
    attempt("to be given what was said", `room:history:${room}`, [connect, join], { history: 5 }, live),
    attempt("to send to all sockets", "broadcast", [connect, join], {}, says("broadcast")),
  ]
}

export const chat: ReadonlyArray<Attempt> = [...attemptsBy("websocket"), ...attemptsBy("polling")]
