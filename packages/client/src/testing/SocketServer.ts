/**
 * A WebSocket server for tests, on Node's own HTTP server and the few lines of RFC 6455 that text frames need, so that
 * the transport meets a real socket. Unfragmented frames below 64 KiB; no extensions.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage } from "node:http"
import type { Socket } from "node:net"
import { Effect } from "effect"

export interface ServerSocket {
  readonly url: string
  /** Those that the client offers. */
  readonly protocol: string | undefined
  send(text: string): void
  close(code: number, reason?: string): void
  /** Breaks the connection without a close. */
  destroy(): void
  onText: (text: string) => void
  onClose: (code: number) => void
}

/** Serves on a free port as long as the scope lives; answers its address. */
export const serve = (onSocket: (socket: ServerSocket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly address: string; readonly close: Effect.Effect<void> }>((resume) => {
      const sockets = new Set<Socket>()
      const server = createServer((_, response) => response.writeHead(404).end())
      server.on("upgrade", (request: IncomingMessage, socket: Socket) => {
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
        socket.on("error", () => socket.destroy())
        onSocket(upgrade(request, socket))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        if (address === null || typeof address === "string") throw new Error("no port")
        const close = Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        })
        resume(Effect.succeed({ address: `ws://127.0.0.1:${address.port}`, close }))
      })
    }),
    (server) => server.close,
  )

const upgrade = (request: IncomingMessage, socket: Socket): ServerSocket => {
  const { "sec-websocket-key": key = "", "sec-websocket-protocol": protocol } = request.headers
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
  const chosen = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol.split(",")[0]}\r\n`
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${chosen}\r\n`,
  )
  const self: ServerSocket = {
    url: request.url ?? "",
    protocol,
    send: (text) => socket.write(frame(opcodes.text, Buffer.from(text))),
    close: (code, reason = "") => socket.write(frame(opcodes.close, closePayload(code, reason))),
    destroy: () => socket.destroy(),
    onText: () => {},
    onClose: () => {},
  }
  let unread = Buffer.alloc(0)
  socket.on("data", (data: Buffer) => {
    unread = Buffer.concat([unread, data])
    for (let next = read(unread); next !== undefined; next = read(unread)) {
      unread = unread.subarray(next.size)
      if (next.opcode === opcodes.text) self.onText(next.payload.toString())
      if (next.opcode !== opcodes.close) continue
      self.onClose(next.payload.length >= 2 ? next.payload.readUInt16BE() : 1005)
      socket.end(frame(opcodes.close, next.payload))
    }
  })
  return self
}

const opcodes = { text: 1, close: 8 }

const closePayload = (code: number, reason: string): Buffer => {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason)])
}

const frame = (opcode: number, payload: Buffer): Buffer => {
  const isShort = payload.length < 126
  const head = Buffer.alloc(isShort ? 2 : 4)
  head[0] = 0x80 | opcode
  head[1] = isShort ? payload.length : 126
  if (!isShort) head.writeUInt16BE(payload.length, 2)
  return Buffer.concat([head, payload])
}

/** The first frame of a client, which is masked; `undefined` until it is whole. */
const read = (bytes: Buffer) => {
  if (bytes.length < 2) return undefined
  const short = bytes[1]! & 0x7f
  if (short === 127) throw new Error("a frame of 64 KiB or more")
  const at = short === 126 ? 4 : 2
  if (bytes.length < at + 4) return undefined
  const length = short === 126 ? bytes.readUInt16BE(2) : short
  const size = at + 4 + length
  if (bytes.length < size) return undefined
  const mask = bytes.subarray(at, at + 4)
  const payload = Buffer.from(bytes.subarray(at + 4, size).map((byte, i) => byte ^ mask[i % 4]!))
  return { opcode: bytes[0]! & 0x0f, payload, size }
}
