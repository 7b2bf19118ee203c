/**
 * One client for each transport, as far as the story that all transports are told needs it: it sends numbers to be
 * squared, and notes the number of every result in the order in which they came.
 *
 * Those that acknowledge remember the seq of their last result and give it when they come back: to them the promise is
 * exactly once. The others know nothing of seqs: what came just before a cut they may see again, and never a gap.
 */
import { ServerFrames } from "@nimbus/domain/protocol"
import { eventually, type NeverHappened } from "@nimbus/domain/testing"
import { GrpcClient } from "@nimbus/gateway/testing"
import { Effect, Result, Schema, type Scope } from "effect"
import { WebSocket } from "ws"

/** The ports of one gateway. */
export interface Place {
  readonly http: number
  readonly grpc: number
}

export interface Connected {
  readonly numbers: ReadonlyArray<number>
  /** The seq of the last result, for a client that remembers it. */
  readonly lastSeq: () => number
  readonly isLive: Effect.Effect<void, NeverHappened>
  square(number: number): void
  /** Reads nothing until `resume`. */
  pause(): void
  resume(): void
  /** Of the connection, in a few words. */
  state(): string
  /** Destroys the socket, without a word. */
  cut(): void
  /** The connection is gone, and everything that came before that is noted. */
  readonly closed: Effect.Effect<unknown>
}

export interface TransportClient {
  readonly name: string
  readonly remembers: boolean
  connect(place: Place, clientId: string, after: number): Effect.Effect<Connected, NeverHappened, Scope.Scope>
}

const patience_ms = 30_000

const WithNumber = Schema.Struct({ number: Schema.Int })
const numberOf = (data: unknown): number => Schema.decodeUnknownSync(WithNumber)(data).number

const native: TransportClient = {
  name: "native WebSocket",
  remembers: true,
  connect: Effect.fnUntraced(function* ({ http }, clientId, after) {
    const numbers: Array<number> = []
    let [lastSeq, status] = [after, ""]
    const query = `clientId=${clientId}&ack=client&after=${after}`
    const socket = yield* open(`ws://127.0.0.1:${http}/v1/stream?${query}`, (ws, data) => {
      const frame = Result.getOrThrow(ServerFrames.parse(data))
      if (frame.type === "status" || frame.type === "welcome") status = frame.status
      if (frame.type !== "results") return
      for (const item of frame.items) {
        numbers.push(numberOf(item.data))
        lastSeq = item.seq
      }
      if (ws.readyState === ws.OPEN) ws.send(JSON.stringify({ type: "ack", seq: lastSeq }))
    })
    return {
      ...socket,
      numbers,
      lastSeq: () => lastSeq,
      isLive: live(() => status === "LIVE"),
      square: (number) => socket.send({ type: "event", id: `${clientId}-${number}`, name: "sq", data: { number } }),
    }
  }),
}

const plain = (approach: string): TransportClient => ({
  name: approach,
  remembers: false,
  connect: Effect.fnUntraced(function* ({ http }, clientId) {
    const numbers: Array<number> = []
    let status: unknown = ""
    const isResult = Schema.is(
      Schema.Struct({ type: Schema.Literal("processed_finished"), seq: Schema.Int, data: WithNumber }),
    )
    const isStatus = Schema.is(Schema.Struct({ type: Schema.Literal("status"), data: Schema.String }))
    const url = `ws://127.0.0.1:${http}/${approach}/events?clientId=${clientId}&frames=all`
    const socket = yield* open(url, (_, data) => {
      const frame: unknown = JSON.parse(data)
      if (isResult(frame)) numbers.push(frame.data.number)
      else if (isStatus(frame)) status = frame.data
    })
    return {
      ...socket,
      numbers,
      lastSeq: () => -1,
      isLive: live(() => status === "LIVE"),
      square: (number) => socket.send({ type: "event", name: "sq", data: { number } }),
    }
  }),
})

/** With the fields of the old contract alone: see `proto-before` in packages/gateway. */
const grpcBefore: TransportClient = {
  name: "gRPC, a client of NimbusGRPC",
  remembers: false,
  connect: ({ grpc }, clientId) =>
    grpcClient(
      { port: grpc, metadata: { client_id: clientId } },
      () => {},
      () => -1,
      Effect.void,
    ),
}

const grpc: TransportClient = {
  name: "gRPC with acks",
  remembers: true,
  connect: Effect.fnUntraced(function* ({ grpc }, clientId, after) {
    let lastSeq = after
    const metadata = { client_id: clientId, ack: "client", after: String(after), notices: "true" }
    const connected = yield* grpcClient(
      { port: grpc, metadata },
      (seq, client) => {
        lastSeq = Number(seq)
        client.ack(seq)
      },
      () => lastSeq,
    )
    return connected
  }),
}

const grpcClient = Effect.fnUntraced(function* (
  options: GrpcClient.GrpcOptions,
  onResult: (seq: bigint, client: GrpcClient.GrpcClient) => void,
  lastSeq: () => number,
  isLive?: Effect.Effect<void>,
) {
  const numbers: Array<number> = []
  const client = yield* GrpcClient.connect({
    ...options,
    onResponse: (response, client) => {
      if (response.seq === undefined) return
      numbers.push(response.number)
      onResult(response.seq, client)
    },
  })
  return {
    numbers,
    lastSeq,
    isLive: isLive ?? client.isLive,
    square: (number: number) => client.square(number),
    pause: () => client.stream.pause(),
    resume: () => client.stream.resume(),
    state: () => (client.stream.closed ? "closed" : "open"),
    cut: () => client.cut(),
    closed: client.ended,
  }
})

/** Every transport of a gateway that delivers results. */
export const transportClients: ReadonlyArray<TransportClient> = [
  native,
  plain("approach2"),
  plain("approach3"),
  grpcBefore,
  grpc,
]

const live = (condition: () => boolean) => eventually("LIVE", Effect.sync(condition), patience_ms)

/** A WebSocket that lives as long as the scope, once it is open. */
const open = Effect.fnUntraced(function* (url: string, onFrame: (ws: WebSocket, data: string) => void) {
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(url)),
    (ws) => Effect.sync(() => ws.terminate()),
  )
  ws.on("message", (data: Buffer) => onFrame(ws, data.toString()))
  // What an error comes to shows in the close.
  ws.on("error", () => {})
  let state = "open"
  const closed = new Promise<void>((resolve) =>
    ws.once("close", (code, reason) => {
      state = `closed with ${code} ${reason.toString()}`
      resolve()
    }),
  )
  yield* eventually(
    `${url} is open`,
    Effect.sync(() => ws.readyState === ws.OPEN),
    patience_ms,
  )
  return {
    send: (frame: object) => ws.send(JSON.stringify(frame)),
    pause: () => ws.pause(),
    resume: () => ws.resume(),
    state: () => state,
    cut: () => ws.terminate(),
    closed: Effect.promise(() => closed),
  }
})
