/**
 * A gRPC client of the one bidirectional call, on Node's own HTTP/2 and nothing else: so it can do what libraries do not
 * let one do, be it to send bytes that are no message, to stop reading, or to go without a word.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2"
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf"
import { eventually, type NeverHappened } from "@nimbus/domain/testing"
import { Effect, type Scope } from "effect"
import { EventRequestSchema, type EventResponse, EventResponseSchema, Status } from "../grpc/gen/nimbus_pb.js"

/** How a call ended. */
export interface GrpcEnd {
  /** gRPC's code; -1 where the call ended without one. */
  readonly code: number
  readonly message: string
  readonly trailers: Readonly<Record<string, unknown>>
}

/** One call. */
export interface GrpcClient {
  readonly session: ClientHttp2Session
  readonly stream: ClientHttp2Stream
  /** Everything so far. */
  readonly responses: ReadonlyArray<EventResponse>
  /** Those with a seq. */
  results(): ReadonlyArray<EventResponse>
  send(...requests: ReadonlyArray<MessageInitShape<typeof EventRequestSchema>>): void
  /** `sq` of each number. */
  square(...numbers: ReadonlyArray<number>): void
  ack(seq: bigint): void
  /** Bytes that may be anything. */
  sendBytes(bytes: Uint8Array): void
  /** Says that nothing more will be sent. */
  halfClose(): void
  /** The last status told; only with `notices`. */
  status(): Status
  /** The first response like this, waited for. */
  first(what: string, like: (response: EventResponse) => boolean): Effect.Effect<EventResponse, NeverHappened>
  /** Waits for this many results in all. */
  hasResults(count: number): Effect.Effect<void, NeverHappened>
  readonly isLive: Effect.Effect<void, NeverHappened>
  /** Destroys the socket, without a word. */
  cut(): void
  readonly ended: Effect.Effect<GrpcEnd>
}

/** Where to call, and as whom. */
export interface GrpcOptions {
  readonly port: number
  /** `client_id` among it. */
  readonly metadata: Readonly<Record<string, string | Array<string>>>
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The connection of another call; default: one of its own. */
  readonly session?: ClientHttp2Session
  readonly onResponse?: (response: EventResponse, client: GrpcClient) => void
}

/** Calls `ProcessEvent`. The connection lives as long as the scope. */
export const connect = (options: GrpcOptions): Effect.Effect<GrpcClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => open(options)),
    (client) => Effect.sync(() => client.cut()),
  )

const open = ({ headers, metadata, onResponse, path, port, ...options }: GrpcOptions): GrpcClient => {
  const session = options.session ?? connectHttp2(`http://127.0.0.1:${port}`)
  // Whatever becomes of the connection, "close" of the stream tells.
  session.on("error", () => {})
  const stream = session.request({
    ":method": "POST",
    ":path": path ?? "/nimbus.NimbusService/ProcessEvent",
    "content-type": "application/grpc",
    te: "trailers",
    ...metadata,
    ...headers,
  })
  stream.on("error", () => {})
  const responses: Array<EventResponse> = []
  const ended = endOf(stream)
  const has = (what: string, condition: () => boolean) => eventually(what, Effect.sync(condition))
  const client: GrpcClient = {
    session,
    stream,
    responses,
    results: () => responses.filter(({ seq }) => seq !== undefined),
    send: (...requests) =>
      void stream.write(
        Buffer.concat(
          requests.map((request) => frame(toBinary(EventRequestSchema, create(EventRequestSchema, request)))),
        ),
      ),
    square: (...numbers) => client.send(...numbers.map((number) => ({ eventName: "sq", number }))),
    ack: (seq) => client.send({ ack: seq }),
    sendBytes: (bytes) => void stream.write(bytes),
    halfClose: () => void stream.end(),
    status: () =>
      responses.reduce((last: Status, { status, welcome }) => status || (welcome?.status ?? last), Status.UNSPECIFIED),
    first: (what, like) =>
      Effect.andThen(
        has(what, () => responses.some(like)),
        Effect.sync(() => responses.find(like)!),
      ),
    hasResults: (count) => has(`${count} results`, () => client.results().length >= count),
    isLive: Effect.suspend(() => has("LIVE", () => client.status() === Status.LIVE)),
    cut: () => session.destroy(),
    ended: Effect.promise(() => ended),
  }
  readMessages(stream, (message) => {
    const response = fromBinary(EventResponseSchema, message)
    responses.push(response)
    onResponse?.(response, client)
  })
  return client
}

/** A message as it stands on a stream. */
export const frame = (message: Uint8Array, compressed = 0): Uint8Array => {
  const head = Buffer.alloc(5)
  head[0] = compressed
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

const readMessages = (stream: ClientHttp2Stream, take: (message: Uint8Array) => void): void => {
  let rest: Buffer = Buffer.alloc(0)
  stream.on("data", (chunk: Buffer) => {
    let bytes = Buffer.concat([rest, chunk])
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1)
      take(bytes.subarray(5, end))
      bytes = bytes.subarray(end)
    }
    rest = bytes
  })
}

/** From the trailers, or from the headers where there is nothing else; HTTP's own status where it is not gRPC at all. */
const endOf = (stream: ClientHttp2Stream): Promise<GrpcEnd> =>
  new Promise((resolve) => {
    let trailers: Readonly<Record<string, unknown>> = {}
    stream.on("response", (headers) => (trailers = { ...headers, ...trailers }))
    stream.on("trailers", (headers: Record<string, unknown>) => (trailers = { ...trailers, ...headers }))
    stream.on("close", () => {
      const code = trailers["grpc-status"]
      const message = decodeURIComponent(String(trailers["grpc-message"] ?? ""))
      resolve({ code: code === undefined ? -1 : Number(code), message, trailers })
    })
  })
