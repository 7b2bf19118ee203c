/**
 * The load: plain `ws` clients that speak `nimbus.v1`, as cheap as they can be, so that the server is what is measured.
 *
 * A load client keeps a number of events under way (a closed loop), acknowledges every `results` frame as a whole, and
 * checks that seqs grow. The same client drives the raw echo server, which answers each event frame with itself.
 */
import { WebSocket } from "ws"

export interface Server {
  readonly name: string
  readonly url: (clientId: string) => string
  /** Of the request that opens the connection, such as a token. */
  readonly headers?: (clientId: string) => Readonly<Record<string, string>>
  /** `nimbus.v1` frames, or every frame echoed. */
  readonly protocol: "nimbus" | "echo"
}

export interface LoadClient {
  readonly received: number
  readonly outOfOrder: number
  readonly lastSeq: number
  /** Send-to-result times in ms, if asked for. */
  readonly latencies_ms: Array<number>
  /** Sends one event now. `due`: from when its time counts, as `performance.now()`; by default from now. */
  send(due?: number): void
  /** Reads nothing for that long. */
  pause(ms: number): void
  close(): void
  terminate(): void
}

export interface LoadOptions {
  readonly server: Server
  readonly clientId: string
  /** Events under way; 0: `send` alone sends. */
  readonly underWay: number
  readonly isTimed?: boolean
  /** The name of the events; by default `sq`. */
  readonly name?: string
  /** Events carry numbers in a row, which begin after this one. */
  readonly first?: number
  readonly onResults?: (count: number, client: LoadClient) => void
}

/** Connects; done when the client is LIVE (or, on an echo server, open). */
export const connect = (options: LoadOptions): Promise<LoadClient> =>
  new Promise((resolve, reject) => {
    const { clientId, first = 0, isTimed = false, name = "sq", onResults, server, underWay } = options
    const ws = new WebSocket(server.url(clientId), {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      headers: server.headers?.(clientId) ?? {},
    })
    const sentAt = new Map<string, number>()
    let nextId = 0
    const client = {
      received: 0,
      outOfOrder: 0,
      lastSeq: -1,
      latencies_ms: new Array<number>(),
      send(due = performance.now()) {
        const id = `${nextId++}`
        if (isTimed) sentAt.set(id, due)
        ws.send(`{"type":"event","id":"${id}","name":"${name}","data":{"number":${(first + nextId) % 1000}}}`)
      },
      pause(ms: number) {
        ws.pause()
        setTimeout(() => ws.resume(), ms)
      },
      close: () => ws.close(),
      terminate: () => ws.terminate(),
    } satisfies LoadClient
    const got = (ids: ReadonlyArray<string>) => {
      client.received += ids.length
      if (isTimed) {
        const now = performance.now()
        for (const id of ids) {
          const due = sentAt.get(id)
          if (due === undefined) return reject(new Error(`${clientId} got an answer to ${id}, which it did not send`))
          client.latencies_ms.push(now - due)
          sentAt.delete(id)
        }
      }
      for (let i = 0; i < (underWay > 0 ? ids.length : 0); i++) client.send()
      onResults?.(ids.length, client)
    }
    const live = () => {
      for (let i = 0; i < underWay; i++) client.send()
      resolve(client)
    }
    ws.on("error", reject)
    ws.on("close", (code, reason) => reject(new Error(`${clientId} was closed: ${code} ${reason.toString()}`)))
    if (server.protocol === "echo") {
      ws.on("open", live)
      ws.on("message", (data: Buffer) => got([JSON.parse(data.toString()).id]))
      return
    }
    ws.on("message", (data: Buffer) => {
      const frame = JSON.parse(data.toString())
      if (frame.type === "results") {
        for (const { seq } of frame.items) {
          if (seq <= client.lastSeq) client.outOfOrder++
          client.lastSeq = seq
        }
        ws.send(`{"type":"ack","seq":${client.lastSeq}}`)
        got(frame.items.map(({ id }: { readonly id: string }) => id))
      } else if (frame.type === "status" && frame.status === "LIVE") live()
      else if (frame.type === "error" || frame.type === "refused") reject(new Error(data.toString()))
    })
  })

/** The value below which a share `q` of the sample lies. */
export const quantile = (sample: ReadonlyArray<number>, q: number): number => {
  const sorted = [...sample].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
