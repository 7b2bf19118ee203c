/** Who asks a task and reads its tokens: cheap, so that the servers are what is measured. Each checks that nothing is missing. */
import { Agent, get } from "node:http"
import { WebSocket } from "ws"
import { type Asked, now_ms, type Token } from "./Tokens.ts"

export interface Reader {
  readonly tokens: number
  /** From where a token was made to here, in ms, of those since `measure`. */
  readonly times_ms: ReadonlyArray<number>
  measure(): void
  /** Asks; done with the end of the answer. */
  ask(): Promise<void>
  close(): void
}

export type Connect = (base: string, clientId: string, asked: Asked) => Promise<Reader>

class Counts {
  tokens = 0
  times_ms: Array<number> = []
  private isMeasured = false

  measure(): void {
    this.isMeasured = true
  }

  got({ at }: Token, now: number): void {
    this.tokens++
    if (this.isMeasured) this.times_ms.push(now - at)
  }
}

interface Item {
  readonly seq: number
  readonly of?: string
  readonly part?: number
  readonly end?: string
  readonly error?: unknown
  readonly data: Token
}

/** Over `nimbus.v1`; done when it is LIVE. */
export const overNimbus: Connect = (base, clientId, asked) =>
  new Promise((resolve, reject) => {
    const url = `${base.replace("http", "ws")}/v1/stream?clientId=${clientId}&ack=client`
    const ws = new WebSocket(url, { perMessageDeflate: false, skipUTF8Validation: true })
    const counts = new Counts()
    let ended: (failure?: Error) => void = () => {}
    const over = new Promise<void>((done, fail) => {
      ended = (failure) => (failure === undefined ? done() : fail(failure))
    })
    const take = (item: Item, now: number): void => {
      if (item.part !== counts.tokens) return ended(new Error(`${clientId} got part ${item.part} for ${counts.tokens}`))
      if (item.end === undefined) counts.got(item.data, now)
      else ended(item.end === "done" ? undefined : new Error(`${clientId}: ${JSON.stringify(item)}`))
    }
    const reader: Reader = Object.assign(counts, {
      ask: () => {
        ws.send(JSON.stringify({ type: "event", id: "ask", name: "tokens", data: asked }))
        return over
      },
      close: () => ws.terminate(),
    })
    ws.on("error", reject)
    ws.on("message", (data: Buffer) => {
      const frame = JSON.parse(data.toString())
      if (frame.type === "results") {
        const now = now_ms()
        for (const item of frame.items) take(item, now)
        ws.send(`{"type":"ack","seq":${frame.items.at(-1).seq}}`)
      } else if (frame.type === "status" && frame.status === "LIVE") resolve(reader)
      else if (frame.type === "error" || frame.type === "refused") ended(new Error(data.toString()))
    })
  })

const agent = new Agent({ keepAlive: false })

/** Over Server-Sent Events. The request is what asks. */
export const overSse: Connect = async (base, clientId, asked) => {
  const counts = new Counts()
  let close = () => {}
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const url = `${base}/ask?clientId=${clientId}&per_second=${asked.per_second}&for_ms=${asked.for_ms}`
      const request = get(url, { agent }, (response) => {
        let rest = ""
        response.setEncoding("utf8")
        response.on("error", reject)
        response.on("data", (text: string) => {
          const now = now_ms()
          const frames = (rest + text).split("\n\n")
          rest = frames.pop() ?? ""
          for (const frame of frames) {
            const [, event = "", data = ""] = frame.split("\n")
            if (event === "event: end") return resolve()
            counts.got(JSON.parse(data.slice("data: ".length)), now)
          }
        })
      })
      request.on("error", reject)
      close = () => request.destroy()
    })
  return Object.assign(counts, { ask, close: () => close() })
}
