/**
 * One room of the chat over Socket.IO: what was said, its history first, in the order of the log.
 *
 * A socket is not given its own messages; the answer to one comes when the socket has everything before it, so it is
 * shown at its answer, in its place.
 *
 * Cut off, its connection breaks at once, without a word to the gateway, and no other is opened until it is brought back.
 * Then it gives back the offset that it has come to, which its own messages have too, and gets what it has missed.
 */
import { signal } from "@preact/signals"
import { io } from "socket.io-client"
import { about } from "../api/about.ts"
import { token } from "../api/token.ts"
import { pageLimits } from "../Limits.ts"
import { Ring } from "../state/Ring.ts"

export interface Said {
  readonly key: number
  readonly who: string
  readonly text: string
  readonly at: number
  readonly isMine: boolean
}

export interface Room {
  readonly name: string
  /** Resolves once the log has it; rejects with what was wrong. */
  say(who: string, text: string): Promise<void>
  cut(): void
  bringBack(): void
  leave(): void
}

export const said = signal<ReadonlyArray<Said>>([])
export const standing = signal<"offline" | "cut off" | "catching up" | "live">("offline")
/** What the gateway had to say of lost messages and refusals. */
export const notice = signal("")

const ring = new Ring<Said>(pageLimits.said)
let keys = 0

/** Where there are locks, the one who is signed in: its capabilities say which rooms it may be in. */
const shown = (auth: object): object =>
  about.value.hasLocks && token.value !== undefined ? { ...auth, token: token.value } : auth

export const enter = (name: string): Room => {
  const auth: { room: string; history: true; offset?: string } = { room: name, history: true }
  const socket = io({ auth: (tell: (auth: object) => void) => tell(shown(auth)), transports: ["websocket"] })
  const isAt = (offset: unknown) => {
    if (typeof offset === "string") auth.offset = offset
  }
  ring.clear()
  said.value = []
  notice.value = ""
  standing.value = "offline"
  socket.on("connect", () => (standing.value = "catching up"))
  socket.on("disconnect", () => (standing.value = socket.io.reconnection() ? "offline" : "cut off"))
  socket.on("connect_error", (error) => (notice.value = error.message))
  socket.on("live", () => (standing.value = "live"))
  socket.on("message", (data: unknown, info: unknown, offset: unknown) => {
    note(data, fieldOf(info, "time"), false)
    isAt(offset)
  })
  socket.on("offset", isAt)
  socket.on("lost", () => (notice.value = "Some messages of this room are gone for good."))
  socket.on("refused", (refusal: unknown) => (notice.value = textOf(fieldOf(refusal, "message"))))
  return {
    name,
    say: async (who, text) => {
      const answer: unknown = await socket.timeout(pageLimits.answer_timeout_ms).emitWithAck("message", { who, text })
      const error = fieldOf(answer, "error")
      if (error !== undefined) throw new Error(textOf(fieldOf(error, "message")))
      note({ who, text }, Date.now(), true)
      isAt(fieldOf(answer, "offset"))
    },
    cut: () => {
      socket.io.reconnection(false)
      socket.io.engine.close()
    },
    bringBack: () => {
      socket.io.reconnection(true)
      standing.value = "offline"
      socket.connect()
    },
    leave: () => void socket.disconnect(),
  }
}

/** Any service may write into a room: what is not in this page's own words is shown as JSON. */
const note = (data: unknown, at: unknown, isMine: boolean): void => {
  const [who, text] = [fieldOf(data, "who"), fieldOf(data, "text")]
  ring.push({
    key: ++keys,
    who: typeof who === "string" && who !== "" ? who : "somebody",
    text: typeof text === "string" ? text : textOf(data),
    at: typeof at === "number" ? at : Date.now(),
    isMine,
  })
  said.value = ring.toArray()
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined

const textOf = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value) ?? ""))
