/**
 * Stands between us and the broker, counts each request, and can lose or falsify what is said.
 *
 *     kafkajs ─▶ socketFactory ─▶ proxy ─▶ broker
 *
 * The broker tells its own address to who asks for it; it is the socket factory that sends every connection here.
 */
import { connect, createServer, type Server, type Socket } from "node:net"
import { Effect, type Scope } from "effect"
import type { ISocketFactory } from "kafkajs"

/** The numbers of Kafka's requests. */
export const apis = {
  produce: 0,
  fetch: 1,
  listOffsets: 2,
  metadata: 3,
  offsetCommit: 8,
  joinGroup: 11,
  heartbeat: 12,
  saslHandshake: 17,
  saslAuthenticate: 36,
} as const

/**
 * What is done with a request or an answer: it goes on; the connection is cut before it does, or halfway through it; or
 * from now on nothing goes on in either direction, and nobody is told, as where a firewall has forgotten a connection.
 */
export type Deed = "pass" | "cut" | "halve" | "silence"

/** Until the scope closes. */
export const makeBrokerProxy = (broker: string): Effect.Effect<BrokerProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => BrokerProxy.listen(broker)),
    (proxy) => Effect.promise(() => proxy.end()),
  )

export class BrokerProxy {
  onRequest: (api: number) => Deed = () => "pass"
  /** `answer` is what follows the length, and may be changed. */
  onAnswer: (api: number, answer: Buffer) => Deed = () => "pass"
  readonly #requests = new Map<number, number>()
  readonly #sockets = new Set<Socket>()
  readonly #brokerHost: string
  readonly #brokerPort: number
  readonly #server: Server
  readonly #port: number
  #isOpen = true

  constructor(broker: string, server: Server) {
    const [host = "", port = ""] = broker.split(":")
    this.#brokerHost = host
    this.#brokerPort = Number(port)
    this.#server = server
    const address = server.address()
    this.#port = address === null || typeof address === "string" ? 0 : address.port
    server.on("connection", (socket) => this.#accept(socket))
  }

  static listen(broker: string): Promise<BrokerProxy> {
    const server = createServer()
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(new BrokerProxy(broker, server))))
  }

  readonly socketFactory: ISocketFactory = ({ onConnect }) =>
    connect({ host: "127.0.0.1", port: this.#port, noDelay: true }, onConnect)

  /** Requests seen so far. */
  count(api: number): number {
    return this.#requests.get(api) ?? 0
  }

  get connections(): number {
    return this.#sockets.size
  }

  /** Cuts all connections, and every new one until `open`. */
  close(): void {
    this.#isOpen = false
    for (const socket of this.#sockets) socket.destroy()
  }

  open(): void {
    this.#isOpen = true
  }

  /** Cuts all connections; new ones are refused by the machine, as where nobody listens, until `accept`. */
  refuse(): Promise<unknown> {
    for (const socket of this.#sockets) socket.destroy()
    return new Promise((resolve) => this.#server.close(resolve))
  }

  /** At the same port. */
  accept(): Promise<unknown> {
    return new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve))
  }

  end(): Promise<unknown> {
    this.close()
    return new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(near: Socket): void {
    if (!this.#isOpen) return void near.destroy()
    const far = connect({ host: this.#brokerHost, port: this.#brokerPort, noDelay: true })
    const cut = () => {
      this.#sockets.delete(near)
      near.destroy()
      far.destroy()
    }
    this.#sockets.add(near)
    for (const socket of [near, far]) {
      socket.on("error", cut)
      socket.on("close", cut)
    }
    const apisUnderWay = new Map<number, number>()
    let isSilent = false
    const carryOut = (deed: Deed, frame: Buffer, to: Socket) => {
      if (isSilent) return
      // Nothing follows a half, not even until the connection is cut: TCP has no holes.
      isSilent = deed !== "pass"
      if (deed === "pass") to.write(frame)
      else if (deed === "halve") to.write(frame.subarray(0, frame.length >> 1), cut)
      else if (deed === "cut") cut()
    }
    forEachFrame(near, (frame) => {
      const api = frame.readInt16BE(4)
      apisUnderWay.set(frame.readInt32BE(8), api)
      this.#requests.set(api, this.count(api) + 1)
      carryOut(this.onRequest(api), frame, far)
    })
    forEachFrame(far, (frame) => {
      const api = apisUnderWay.get(frame.readInt32BE(4)) ?? -1
      carryOut(this.onAnswer(api, frame.subarray(4)), frame, near)
    })
  }
}

/** Each with its length before it. */
const forEachFrame = (socket: Socket, use: (frame: Buffer) => void): void => {
  let rest: Buffer = Buffer.alloc(0)
  socket.on("data", (data: Buffer) => {
    rest = Buffer.concat([rest, data])
    while (rest.length >= 4 && !socket.destroyed) {
      const length = 4 + rest.readInt32BE(0)
      if (rest.length < length) return
      use(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  })
}
