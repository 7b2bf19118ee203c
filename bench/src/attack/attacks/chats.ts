/** Socket.IO: events that there are not, messages that are too long, long polls, handshakes, and a room that is flooded. */
import { frame, upgrade } from "../../fuzz/WebSocketTalk.ts"
import type { Attack, Field } from "../Field.ts"
import { type Chunk, chunkOf, converse, flood, type Step } from "../Flood.ts"

const path = "/socket.io/?EIO=4&transport=websocket"
const said = (packet: string): Buffer => frame(0x81, Buffer.from(packet))

interface Options {
  readonly chunk: Chunk
  readonly connections: number
  readonly reads: boolean
  readonly room: string
}

const floodOf = ({ chunk, connections, reads, room }: Options): Attack["begin"] =>
  flood({
    port: "http",
    connections,
    reads,
    opening: () => joining(`{"room":"${room}"}`),
    chunk,
  })

/** What is said before Engine.IO has opened the connection is lost. */
const joining = (auth: string): ReadonlyArray<Step> => [
  { says: upgrade(path), until: '0{"sid"' },
  { says: said(`40${auth}`), until: '42["live"' },
]

const unknown = chunkOf([said('42["nothing",{"text":"hello"}]')])
/** Each asks for an answer. */
const unknownAsked = chunkOf([said('421["nothing",{"text":"hello"}]')])
const tooLong = chunkOf([said(`42["message","${"x".repeat(65 * 1024)}"]`)], 256 * 1024)
const messages = chunkOf([said('42["message",{"text":"hello"}]')])

const get = (query: string): Buffer =>
  Buffer.from(`GET /socket.io/?EIO=4&transport=polling${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`)

const post = (query: string, body: string): Buffer =>
  Buffer.from(
    `POST /socket.io/?EIO=4&transport=polling${query} HTTP/1.1\r\nHost: localhost\r\n` +
      `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )

/** A client by long polling, which has a poll open at any time. */
const poll = (field: Field): void => {
  let sid: string | undefined
  let say: (bytes: Buffer) => void = () => {}
  const onData = (piece: Buffer): void => {
    if (sid !== undefined) return say(get(`&sid=${sid}`))
    sid = /"sid":"([^"]+)"/.exec(piece.toString("latin1"))?.[1]
    if (sid !== undefined) say(post(`&sid=${sid}`, '40{"room":"attacked"}'))
  }
  field.connect(
    "http",
    { reads: true, onData },
    (socket) => {
      say = (bytes) => {
        field.sent++
        socket.write(bytes)
      }
      say(get(""))
    },
    () => poll(field),
  )
}

/** Joins a room with its history and leaves at once when it is live. */
const joinAndLeave = (field: Field): void =>
  converse(
    field,
    "http",
    joining('{"room":"attacked","history":true}'),
    (socket) => {
      field.sent++
      field.leave(socket)
    },
    () => joinAndLeave(field),
  )

export const chats: ReadonlyArray<Attack> = [
  {
    name: "chat-unknown",
    what: "8 chat sockets emit events that there are not, half of them ask for an answer, and do not read",
    begin: (field) => {
      floodOf({ chunk: unknown, connections: 4, reads: false, room: "attacked" })(field)
      floodOf({ chunk: unknownAsked, connections: 4, reads: false, room: "attacked" })(field)
    },
  },
  {
    name: "chat-long",
    what: "4 chat sockets send messages beyond the limit and do not read",
    begin: floodOf({ chunk: tooLong, connections: 4, reads: false, room: "attacked" }),
  },
  {
    name: "chat-polls",
    what: "500 chat clients leave long polls open",
    begin: (field) => {
      for (let n = 0; n < 500; n++) poll(field)
    },
  },
  {
    name: "chat-handshakes",
    what: "8 connections ask for handshake after handshake, pipelined",
    begin: flood({
      port: "http",
      connections: 8,
      reads: true,
      opening: () => [],
      chunk: chunkOf([get("")], 8 * 1024),
    }),
  },
  {
    name: "chat-room",
    what: "4 sockets flood a room with 20 members that do not read; 8 join and leave",
    begin: (field) => {
      floodOf({ chunk: messages, connections: 4, reads: true, room: "attacked" })(field)
      // They say nothing, once they are there.
      const silent = { bytes: frame(0x8a, Buffer.alloc(0)), count: 0 }
      flood({
        port: "http",
        connections: 20,
        reads: false,
        opening: () => joining('{"room":"attacked"}'),
        chunk: silent,
        once: true,
      })(field)
      for (let n = 0; n < 8; n++) joinAndLeave(field)
    },
  },
]
