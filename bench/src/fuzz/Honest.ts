/**
 * Honest clients, one on each transport, that send 1, 2, 3, … and must be shown exactly that, in order, while others
 * attack. They keep one connection: nobody has a reason to close it.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { connect } from "@nimbus/client"
import { EventRequestSchema, EventResponseSchema } from "@nimbus/gateway/proto"
import { io } from "socket.io-client"
import { WebSocket } from "ws"
import { connectGrpc } from "../grpc/GrpcLoad.ts"
import { until } from "../../../scripts/services/Tools.ts"
import type { Server } from "./Server.ts"
import type { Tokens } from "./Tokens.ts"

/** Between two numbers of a client. */
const pause_ms = 20
/** How long a number may take, with all that the others send before it. */
const patience_ms = 60_000

export interface Honest {
  readonly name: string
  readonly sent: number
  /** How many of the server's sessions and chat sockets are its own. */
  readonly connections: number
  /** What was shown instead of the next number, or the connection's end. */
  readonly breach: string | undefined
  /** Sends no more and waits for what is under way; returns whether all of it came. */
  finish(): Promise<boolean>
  close(): Promise<void>
}

/** `tokenOf`: where the server has locks. */
type Open = (
  ports: Server["ports"],
  shown: (number: unknown) => void,
  broken: (why: string) => void,
  tokenOf: TokenOf,
) => Promise<Line>

type TokenOf = (client: string) => string | undefined

/** How a number is sent on a transport. */
interface Line {
  send(number: number): Promise<void> | void
  close(): Promise<void> | void
}

export const honestClients = (ports: Server["ports"], tokens?: Tokens): Promise<ReadonlyArray<Honest>> =>
  Promise.all(
    Object.entries(transports).map(([name, open]) => Counter.begin(name, open, ports, (client) => tokens?.of(client))),
  )

const bearer = (token: string | undefined): Readonly<Record<string, string>> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` }

const sdkToken = (tokenOf: TokenOf, client: string) => {
  const token = tokenOf(client)
  return token === undefined ? {} : { token: () => Promise.resolve(token) }
}

class Counter implements Honest {
  readonly name: string
  sent = 0
  readonly connections: number
  breach: string | undefined
  #shown = 0
  #isSending = true
  #line: Line = { send: () => {}, close: () => {} }
  #sending: Promise<void> = Promise.resolve()

  static async begin(name: string, open: Open, ports: Server["ports"], tokenOf: TokenOf): Promise<Honest> {
    const counter = new Counter(name)
    counter.#line = await open(
      ports,
      (number) => counter.#show(number),
      (why) => counter.#break(why),
      tokenOf,
    )
    counter.#sending = counter.#send()
    return counter
  }

  private constructor(name: string) {
    this.name = name
    this.connections = name === "chat" ? 2 : 1
  }

  async finish(): Promise<boolean> {
    this.#isSending = false
    await this.#sending
    return until(() => this.breach !== undefined || this.#shown === this.sent, patience_ms)
  }

  async close(): Promise<void> {
    this.breach ??= "closed"
    await this.#line.close()
  }

  async #send(): Promise<void> {
    while (this.#isSending && this.breach === undefined) {
      try {
        await this.#line.send(++this.sent)
      } catch (error) {
        this.#break(error instanceof Error ? error.message : String(error))
      }
      await sleep(pause_ms)
    }
  }

  #show(number: unknown): void {
    if (number !== this.#shown + 1) this.#break(`after ${this.#shown} came ${String(number)}`)
    else this.#shown++
  }

  #break(why: string): void {
    this.breach ??= why
  }
}

const native: Open = async ({ http }, shown, broken, tokenOf) => {
  const client = await connect({
    url: `ws://127.0.0.1:${http}/v1/stream`,
    clientId: "honest-native",
    ...sdkToken(tokenOf, "honest-native"),
    onResult: ({ data }) => shown(numberOf(data)),
    onLost: () => broken("results were lost"),
  })
  client.closed.catch((error: unknown) => broken(String(error)))
  return {
    send: async (number) => void (await client.send("sq", { number })),
    close: () => client.close(),
  }
}

const plain =
  (approach: string): Open =>
  async ({ http }, shown, broken, tokenOf) => {
    const client = `honest-${approach}`
    const url = `ws://127.0.0.1:${http}/${approach}/events?clientId=${client}`
    const ws = await openSocket(url, bearer(tokenOf(client)), broken)
    ws.on("message", (bytes: Buffer) => {
      const frame: unknown = JSON.parse(bytes.toString())
      if (isResult(frame)) shown(numberOf(frame.data))
    })
    return {
      send: (number) => ws.send(JSON.stringify({ type: "event", name: "sq", data: { number } })),
      close: () => ws.terminate(),
    }
  }

const grpc: Open = async ({ grpc: port }, shown, broken, tokenOf) => {
  const client = await connectGrpc({
    port,
    clientId: "honest-grpc",
    metadata: bearer(tokenOf("honest-grpc")),
    underWay: 0,
    onMessage: (message) => {
      const { error, eventId, seq } = fromBinary(EventResponseSchema, message)
      if (error !== undefined) broken(error.code)
      else if (seq !== undefined) shown(Number(eventId))
    },
  })
  client.stream.once("close", () => broken("the call ended"))
  return {
    send: (number) => {
      // In the id, for the square of a large number is no int32.
      const request = create(EventRequestSchema, { eventName: "sq", number: 7, eventId: String(number) })
      const message = toBinary(EventRequestSchema, request)
      const bytes = Buffer.alloc(5 + message.length)
      bytes.writeUInt32BE(message.length, 1)
      bytes.set(message, 5)
      client.stream.write(bytes)
    },
    close: () => client.close(),
  }
}

/** One says it, another of the same room hears it. */
const chat: Open = async ({ http }, shown, broken, tokenOf) => {
  const [says, hears] = [0, 1].map(() =>
    io(`http://127.0.0.1:${http}`, {
      transports: ["websocket"],
      forceNew: true,
      reconnection: false,
      auth: { room: "honest", token: tokenOf("honest-chat") },
    }),
  )
  if (says === undefined || hears === undefined) throw new Error("no sockets")
  let live = 0
  for (const socket of [says, hears]) {
    socket.on("live", () => live++)
    socket.on("disconnect", broken)
  }
  hears.on("message", shown)
  if (!(await until(() => live === 2, patience_ms))) throw new Error("the chat is not live")
  return {
    send: async (number) => {
      const answer: unknown = await says.timeout(patience_ms).emitWithAck("message", number)
      if (typeof answer !== "object" || answer === null || !("offset" in answer)) broken(JSON.stringify(answer))
    },
    close: () => [says, hears].forEach((socket) => socket.disconnect()),
  }
}

/** Posts messages for a client, which is there by WebSocket. */
const http: Open = async ({ http: port }, shown, broken, tokenOf) => {
  const client = await connect({
    url: `ws://127.0.0.1:${port}/v1/stream`,
    clientId: "honest-http",
    ...sdkToken(tokenOf, "honest-http"),
    onResult: ({ data }) => shown(numberOf(data)),
    onLost: () => broken("results were lost"),
  })
  client.closed.catch((error: unknown) => broken(String(error)))
  return {
    send: async (number) => {
      const response = await fetch(`http://127.0.0.1:${port}/v1/clients/honest-http/messages`, {
        method: "POST",
        headers: { "content-type": "application/json", ...bearer(tokenOf("honest-http")) },
        body: JSON.stringify({ name: "note", data: { number } }),
      })
      const text = await response.text()
      if (!response.ok) broken(`HTTP ${response.status} ${text}`)
    },
    close: () => client.close(),
  }
}

const transports = { native, approach2: plain("approach2"), approach3: plain("approach3"), grpc, chat, http }

const openSocket = (
  url: string,
  headers: Readonly<Record<string, string>>,
  broken: (why: string) => void,
): Promise<WebSocket> =>
  new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { headers })
    ws.once("open", () => resolve(ws))
    ws.once("error", reject)
    ws.once("close", (code) => broken(`closed with ${code}`))
  })

const isResult = (frame: unknown): frame is { readonly data: unknown } =>
  typeof frame === "object" &&
  frame !== null &&
  "type" in frame &&
  frame.type === "processed_finished" &&
  "seq" in frame &&
  "data" in frame

const numberOf = (data: unknown): unknown =>
  typeof data === "object" && data !== null && "number" in data ? data.number : data
