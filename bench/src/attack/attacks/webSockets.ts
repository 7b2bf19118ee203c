/** The WebSocket transports: pings, what is no frame, events as fast as they are taken, and events that are refused. */
import { frame, upgrade } from "../../fuzz/WebSocketTalk.ts"
import type { Attack, Field } from "../Field.ts"
import { type Chunk, chunkOf, converse, flood } from "../Flood.ts"

const text = 0x81
const ping = 0x89

const said = (payload: string): Buffer => frame(text, Buffer.from(payload))

const pings = chunkOf([frame(ping, Buffer.alloc(125, 0x61))])
const garbage = chunkOf([said("x")])
const events = chunkOf([said('{"type":"event","name":"sq","data":{"number":7}}')])
const cancels = chunkOf(Array.from({ length: 16 }, (_, i) => said(`{"type":"cancel","id":"e${i}"}`)))
/** Nothing of its client leaves the pipeline meanwhile. */
const slow = said('{"type":"event","id":"e0","name":"slow","data":{"ms":10000}}')
const refused = chunkOf([
  said(`{"type":"event","id":"e1","name":"${"n".repeat(129)}","data":{"number":7}}`),
  said('{"type":"event","id":"e2","name":"","data":{"number":7}}'),
  said('{"type":"event","id":"e3","name":"sq","data":9007199254740993}'),
  said(`{"type":"event","id":"${"i".repeat(129)}","name":"sq","data":null}`),
  said('{"type":"ack","seq":9007199254740991}'),
  said(`{"type":"cancel","id":"${"i".repeat(129)}"}`),
])

interface Options {
  readonly path: string
  readonly chunk: Chunk
  readonly connections: number
  readonly reads: boolean
  /** Said first, and accepted. */
  readonly before?: Buffer
}

const stream = "/v1/stream"

const floodOf = ({ before, chunk, connections, path, reads }: Options): Attack["begin"] =>
  flood({
    port: "http",
    connections,
    reads,
    opening: (n) => [
      {
        says: upgrade(`${path}?clientId=attacker-${n}`),
        // What comes before the session is open is not read, and a socket that is not read yet is no attack yet.
        until: path === stream ? '"welcome"' : "101 Switching",
      },
      ...(before === undefined ? [] : [{ says: before, until: '"accepted"' }]),
    ],
    chunk,
  })

const transports = ["/approach2/events", "/approach3/events"]

const halves_each = 300
/** All but the end of a message that is nearly as large as it may be. */
const half = frame(0x01, Buffer.alloc(240 * 1024, 0x20))
const chatHalf = frame(0x01, Buffer.alloc(4 * 1024 * 1024 - 1, 0x20))

/** A message in frames of a byte, each of which takes up a hundred: far more than a message may have. */
const pieces_each = 16_000
const pieces = Buffer.concat(
  Array.from({ length: pieces_each }, (_, i) => frame(i === 0 ? 0x01 : 0x00, Buffer.alloc(1, 0x20))),
)

const halfOf = (field: Field, path: string, begun: Buffer): void =>
  converse(
    field,
    "http",
    [{ says: upgrade(path), until: "101 Switching" }],
    (socket) => {
      socket.write(begun, (error) => {
        if (error == null && !field.isOver) field.sent++
      })
    },
    () => halfOf(field, path, begun),
  )

/** As many of each transport. */
const halvesOf =
  (name: string, ofStream: Buffer, ofChat: Buffer): Attack["begin"] =>
  (field) => {
    for (let n = 0; n < halves_each; n++) {
      halfOf(field, `/v1/stream?clientId=attacker-${name}-${n}`, ofStream)
      halfOf(field, "/socket.io/?EIO=4&transport=websocket", ofChat)
    }
  }

export const webSockets: ReadonlyArray<Attack> = [
  {
    name: "pings",
    what: "4 WebSockets ping and do not read",
    begin: floodOf({ path: stream, chunk: pings, connections: 4, reads: false }),
  },
  {
    name: "garbage-unread",
    what: "20 WebSockets say `x` and do not read",
    begin: floodOf({ path: stream, chunk: garbage, connections: 20, reads: false }),
  },
  {
    name: "garbage-read",
    what: "20 WebSockets say `x` and read",
    begin: floodOf({ path: stream, chunk: garbage, connections: 20, reads: true }),
  },
  {
    name: "events",
    what: "4 WebSockets send valid events and read",
    begin: floodOf({ path: stream, chunk: events, connections: 4, reads: true }),
  },
  {
    name: "cancels",
    what: "4 WebSockets cancel tasks that there are not, and read",
    begin: floodOf({ path: stream, chunk: cancels, connections: 4, reads: true }),
  },
  {
    name: "cancels-behind",
    what: "4 WebSockets do the same behind an event that takes 10 s",
    begin: floodOf({ path: stream, chunk: cancels, connections: 4, reads: true, before: slow }),
  },
  {
    name: "refused",
    what: "4 WebSockets send events that are refused and do not read",
    begin: floodOf({ path: stream, chunk: refused, connections: 4, reads: false }),
  },
  {
    name: "approaches",
    what: "8 WebSockets at the transports of NimbusWS do the same",
    begin: (field) => {
      for (const path of transports) floodOf({ path, chunk: refused, connections: 4, reads: false })(field)
    },
  },
  {
    name: "approaches-pings",
    what: "8 WebSockets at the transports of NimbusWS ping, say `x`, and do not read",
    begin: (field) => {
      for (const path of transports) {
        floodOf({
          path,
          chunk: chunkOf([frame(ping, Buffer.alloc(125, 0x61)), said("x")]),
          connections: 4,
          reads: false,
        })(field)
      }
    },
  },
  {
    name: "halves",
    what: "300 WebSockets of the chat and 300 others begin messages of the largest size and do not end them",
    begin: halvesOf("half", half, chatHalf),
  },
  {
    name: "pieces",
    what: "300 WebSockets of the chat and 300 others begin messages in frames of a byte and do not end them",
    begin: halvesOf("pieces", pieces, pieces),
  },
]
