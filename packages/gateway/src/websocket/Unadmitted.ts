/**
 * A WebSocket of which it is not known yet whose it is: nothing of it is read but the frame that shows it, where nothing
 * else did. What was read with that frame waits for the session.
 */
import { Unauthenticated } from "@nimbus/domain/errors"
import { Frames } from "@nimbus/domain/protocol"
import { Effect, Result } from "effect"
import type { Shown } from "../access/Asking.ts"
import { ConnectionGone } from "../Errors.ts"
import type { BoundedWebSocket } from "../sockets/BoundedWebSockets.ts"
import type { Timers } from "../sockets/Timers.ts"

/** A frame as it came. */
export interface Early {
  readonly data: Buffer
  readonly isBinary: boolean
}

export class Unadmitted {
  readonly #ws: BoundedWebSocket
  readonly #onError: () => void
  #early: Array<Early> = []
  #first: ((frame: Early) => void) | undefined = undefined

  constructor(ws: BoundedWebSocket, onError: () => void) {
    this.#ws = ws
    this.#onError = onError
    ws.on("message", this.#take)
    ws.on("error", onError)
    ws.pause()
  }

  get isGone(): boolean {
    return this.#ws.readyState !== this.#ws.OPEN
  }

  /** The token of the first frame, which must come within `most_ms`. */
  readonly firstFrame = (
    timers: Timers["Service"],
    most_ms: number,
  ): Effect.Effect<Shown, Unauthenticated | ConnectionGone> =>
    Effect.callback<Shown, Unauthenticated | ConnectionGone>((resume) => {
      const gone = () => resume(Effect.fail(new ConnectionGone()))
      const timer = timers.after(most_ms, () =>
        resume(missing(`neither token nor \`auth\` frame within ${most_ms} ms`)),
      )
      const end = () => {
        timer.cancel()
        this.#first = undefined
        this.#ws.off("close", gone)
      }
      this.#first = (frame) => {
        end()
        this.#ws.pause()
        resume(tokenIn(frame))
      }
      this.#ws.on("close", gone)
      if (this.isGone) gone()
      // What came with the upgrade.
      const before = this.#early.shift()
      if (before !== undefined) this.#first(before)
      else this.#ws.resume()
      return Effect.sync(end)
    })

  /** It is known whose it is, or it is closed. Returns the frames that came behind the first one. */
  release(): ReadonlyArray<Early> {
    this.#ws.off("message", this.#take)
    this.#ws.off("error", this.#onError)
    return this.#early
  }

  readonly #take = (data: Buffer, isBinary: boolean): void => {
    if (this.#ws.isCut) return
    const frame = { data, isBinary }
    if (this.#first === undefined) this.#early.push(frame)
    else this.#first(frame)
  }
}

const missing = (reason: string) => Effect.fail(new Unauthenticated({ code: "TOKEN_MISSING", reason }))

const tokenIn = ({ data, isBinary }: Early): Effect.Effect<Shown, Unauthenticated> => {
  const frame = isBinary ? undefined : Frames.parseClientFrame(data.toString())
  return frame !== undefined && Result.isSuccess(frame) && frame.success.type === "auth"
    ? Effect.succeed({ token: frame.success.token })
    : missing("the first frame must be `auth`, where nothing else has shown a token")
}
