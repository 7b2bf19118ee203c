/**
 * The load: clients on Node's own HTTP/2 that write gRPC's frames as bytes made once and only count what comes back, so
 * that the server is what is measured. A client keeps a number of events under way.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2"
import { connect as connectTcp } from "node:net"
import { create, toBinary } from "@bufbuild/protobuf"
import { EventRequestSchema } from "@nimbus/gateway/proto"

export interface GrpcClient {
  readonly stream: ClientHttp2Stream
  readonly session: ClientHttp2Session
  readonly received: number
  send(count: number): void
  close(): void
}

export interface GrpcLoadOptions {
  readonly port: number
  readonly clientId: string
  /** Events under way; 0: `send` alone sends. */
  readonly underWay: number
  readonly metadata?: Readonly<Record<string, string>>
  readonly onMessage?: (message: Buffer) => void
}

const window_bytes = 1024 * 1024

/** Done when the answer to the call has begun, or on a server that begins with the first message, at once. */
export const connectGrpc = (options: GrpcLoadOptions): Promise<GrpcClient> =>
  new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${options.port}`, {
      settings: { initialWindowSize: window_bytes },
      createConnection: () => connectTcp({ host: "127.0.0.1", port: options.port, noDelay: true }),
    })
    session.on("error", reject)
    session.on("connect", () => {
      session.setLocalWindowSize(window_bytes)
      const stream = session.request({
        ":method": "POST",
        ":path": "/nimbus.NimbusService/ProcessEvent",
        "content-type": "application/grpc",
        te: "trailers",
        client_id: options.clientId,
        ...options.metadata,
      })
      stream.on("error", reject)
      const client = {
        stream,
        session,
        received: 0,
        send: (count: number) => void (count > 0 && stream.write(events(count))),
        close: () => session.destroy(),
      }
      const frames = new Frames(options.onMessage)
      stream.on("data", (chunk: Buffer) => {
        const count = frames.count(chunk)
        client.received += count
        if (options.underWay > 0) client.send(count)
      })
      client.send(options.underWay)
      resolve(client)
    })
  })

/** The frames of this many events, numbers from 0. Made once for each count up to some. */
export const events = (count: number): Buffer => {
  const known = made.get(count)
  if (known !== undefined) return known
  const frames = Buffer.concat(Array.from({ length: count }, (_, i) => event(i)))
  if (count <= 4096) made.set(count, frames)
  return frames
}
const made = new Map<number, Buffer>()

const event = (number: number): Buffer => {
  const message = toBinary(EventRequestSchema, create(EventRequestSchema, { eventName: "sq", number: number % 1000 }))
  const frame = Buffer.alloc(5 + message.length)
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return frame
}

/** Counts the messages of a stream, whatever its chunks. */
class Frames {
  private rest: Buffer = Buffer.alloc(0)
  private readonly onMessage: ((message: Buffer) => void) | undefined

  constructor(onMessage: ((message: Buffer) => void) | undefined) {
    this.onMessage = onMessage
  }

  count(chunk: Buffer): number {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    let count = 0
    while (bytes.length - at >= 5) {
      const end = at + 5 + bytes.readUInt32BE(at + 1)
      if (bytes.length < end) break
      this.onMessage?.(bytes.subarray(at + 5, end))
      at = end
      count++
    }
    this.rest = bytes.subarray(at)
    return count
  }
}
