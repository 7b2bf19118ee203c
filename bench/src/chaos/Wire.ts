/**
 * A wire between two parts, which can be cut, slowed down, narrowed, or go dead without a word.
 *
 *     near ─▶ Wire ─▶ far (a port of this machine)
 *
 * 1. Bytes come out in the order in which they went in. A connection that ends loses what is on its way.
 * 2. At most `waiting_bytes` wait in each direction of a connection, and what one read brings. Beyond: it is not read,
 *    so that TCP holds the sender back.
 */
import { connect, createServer, type Server, type Socket } from "node:net"
import { setTimeout as later } from "node:timers"

/** Two `undefined`s: as if it were not there. */
export interface Weather {
  /** Each chunk arrives so much later. Infinity: nothing does until the weather changes. */
  readonly delay_ms?: number
  /** Of each connection, from far to near. */
  readonly bytes_per_sec?: number
}

const waiting_bytes = 64 * 1024
const piece_bytes = 1024

export class Wire {
  weather: Weather = {}
  readonly #server: Server
  readonly #lines = new Set<Line>()
  readonly #sockets = new Set<Socket>()
  #far = 0
  #isCut = false

  private constructor(server: Server) {
    this.#server = server
    server.on("connection", (near) => this.#accept(near))
  }

  static listen(): Promise<Wire> {
    const server = createServer({ noDelay: true })
    return new Promise((resolve, reject) => {
      server.once("error", reject)
      server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => resolve(new Wire(server)))
    })
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === "string") throw new Error("the wire does not listen")
    return address.port
  }

  get connections(): number {
    return this.#sockets.size / 2
  }

  /** Where it leads. */
  to(port: number): void {
    this.#far = port
  }

  change(weather: Weather): void {
    this.weather = weather
    for (const line of this.#lines) line.flush()
  }

  /** Ends all connections, and each new one until it is mended. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#isCut = false
  }

  end(): Promise<void> {
    this.cut()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #accept(near: Socket): void {
    if (this.#isCut) return void near.destroy()
    const far = connect({ host: "127.0.0.1", port: this.#far, noDelay: true })
    const lines = [new Line(near, far, () => this.weather), new Line(far, near, () => this.weather, true)]
    const end = () => {
      for (const line of lines) this.#lines.delete(line)
      for (const socket of [near, far]) {
        this.#sockets.delete(socket)
        socket.destroy()
      }
    }
    for (const line of lines) this.#lines.add(line)
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      // Its end is what matters, whatever the reason.
      socket.on("error", end)
      socket.on("close", end)
    }
  }
}

/** One direction of one connection. */
class Line {
  readonly #from: Socket
  readonly #to: Socket
  readonly #weather: () => Weather
  readonly #isNarrowed: boolean
  readonly #waiting: Array<{ readonly data: Buffer; readonly since_ms: number }> = []
  #waiting_bytes = 0
  #busyUntil_ms = 0
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket, weather: () => Weather, isNarrowed = false) {
    this.#from = from
    this.#to = to
    this.#weather = weather
    this.#isNarrowed = isNarrowed
    from.on("data", (data: Buffer) => this.#take(data))
    from.on("close", () => clearTimeout(this.#timer))
    to.on("drain", () => this.flush())
  }

  /** Passes on what is due, and comes back for the rest. */
  flush(): void {
    clearTimeout(this.#timer)
    for (;;) {
      const next = this.#waiting[0]
      if (next === undefined || this.#to.destroyed) break
      const wait_ms = this.#dueAt(next.since_ms) - performance.now()
      if (wait_ms > 0) {
        if (Number.isFinite(wait_ms)) this.#timer = later(() => this.flush(), wait_ms)
        break
      }
      this.#waiting.shift()
      this.#waiting_bytes -= next.data.length
      this.#busyUntil_ms = performance.now() + this.#duration_ms(next.data.length)
      if (!this.#to.write(next.data)) break
    }
    if (this.#waiting_bytes <= waiting_bytes && !this.#to.writableNeedDrain) this.#from.resume()
  }

  #take(data: Buffer): void {
    // In pieces, so that a narrow wire is narrow all the time.
    for (let at = 0; at < data.length; at += piece_bytes) {
      this.#waiting.push({ data: data.subarray(at, at + piece_bytes), since_ms: performance.now() })
    }
    this.#waiting_bytes += data.length
    if (this.#waiting_bytes > waiting_bytes || this.#to.writableNeedDrain) this.#from.pause()
    if (!this.#to.writableNeedDrain) this.flush()
  }

  #dueAt(since_ms: number): number {
    return Math.max(since_ms + (this.#weather().delay_ms ?? 0), this.#busyUntil_ms)
  }

  #duration_ms(bytes: number): number {
    const { bytes_per_sec } = this.#weather()
    return bytes_per_sec === undefined || !this.#isNarrowed ? 0 : (1000 * bytes) / bytes_per_sec
  }
}
