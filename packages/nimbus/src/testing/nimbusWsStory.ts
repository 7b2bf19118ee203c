/**
 * NimbusWS's conversation, as its own server has it, told by `ws` as wscat uses it: what is sent, and what must come
 * back, field by field. The client is one of NimbusWS's: it knows nothing of Nimbus, and asks for nothing.
 *
 * A client that answers no pings has acknowledged nothing, so all that it got comes again at its next connection: that
 * is how the story has results replayed.
 */
import { assert } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Schema, type Scope } from "effect"
import { WebSocket } from "ws"

/** What a client is told, with NimbusWS's fields and types; and whatever else there is. */
const withMore = <F extends Schema.Struct.Fields>(fields: F) =>
  Schema.StructWithRest(Schema.Struct(fields), [Schema.Record(Schema.String, Schema.Unknown)])

const Time = Schema.String.check(Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/))
const Uuid = Schema.String.check(Schema.isPattern(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/))

/** Nothing more: the object is told again as it is. */
const accepted = {
  type: Schema.Literal("event_accepted"),
  event_id: Uuid,
  client_id: Schema.String,
  status: Schema.Literal("Event accepted"),
  created_at: Time,
  data: Schema.optionalKey(Schema.Json),
}
const Accepted = Schema.Struct(accepted)

const Finished = withMore({
  type: Schema.Literal("processed_finished"),
  payload: Schema.Struct({
    type: Schema.Literal("event_processed_successfully"),
    event_id: Uuid,
    client_id: Schema.String,
    payload: Accepted,
    status: Schema.Literal("Event Processed Successfully"),
    completed_at: Time,
    processed_result_sent_to: Schema.String,
    partition: Schema.Int,
    topic: Schema.String,
    kafka_offset: Schema.String.check(Schema.isPattern(/^\d+$/)),
  }),
  finished_at: Time,
  seq: Schema.Int,
  id: Schema.String,
  name: Schema.Literal("event"),
  data: Schema.Json,
})
const Refusal = withMore({ type: Schema.Literals(["reject", "error"]), data: Schema.String })

const strict = { onExcessProperty: "error" } as const
const readAccepted = Schema.decodeUnknownSync(Accepted, strict)
const readFinished = Schema.decodeUnknownSync(Finished, strict)
const readRefusal = Schema.decodeUnknownSync(Refusal)

export type Finished = typeof Finished.Type

interface Wscat {
  /** As the text that came, in order. */
  readonly frames: ReadonlyArray<string>
  say(text: string | Buffer): void
  /** The frames that follow those already taken. */
  take(count: number): Effect.Effect<ReadonlyArray<unknown>, unknown>
}

/** Connects and stays as long as the scope. `isMute`: it answers no pings, so nothing counts as acknowledged. */
const wscat = Effect.fnUntraced(function* (url: string, isMute = false): Effect.fn.Return<Wscat, unknown, Scope.Scope> {
  const frames: Array<string> = []
  let taken = 0
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(url, { autoPong: !isMute })),
    (ws) => Effect.sync(() => ws.terminate()),
  )
  ws.on("message", (data: Buffer, isBinary) => frames.push(isBinary ? "binary" : data.toString()))
  // An error shows in what does not come.
  ws.on("error", () => {})
  yield* eventually(
    `${url} is open`,
    Effect.sync(() => ws.readyState === ws.OPEN),
  )
  return {
    frames,
    say: (text) => ws.send(text),
    take: Effect.fnUntraced(function* (count: number) {
      yield* eventually(
        `${count} frames after ${taken}`,
        Effect.sync(() => frames.length >= taken + count),
        60_000,
      )
      const some = frames.slice(taken, taken + count)
      taken += count
      return some.map((text): unknown => JSON.parse(text))
    }),
  }
})

/** Sent, and what NimbusWS answers: an event with this data, or a frame with these fields. */
const events: ReadonlyArray<readonly [text: string | Buffer, data: unknown]> = [
  [`{"type":"event","data":"this is a sample event"}`, "this is a sample event"],
  [`{"type":"event","data":{"n":[1,2,{"é":null}]},"more":7,"id":7}`, { n: [1, 2, { é: null }] }],
  [`{ "type" : "x", "type" : "event", "data" : [ 1 ] }`, [1]],
  [`{"type":"event","data":null}`, null],
  [`{"type":"event"}`, undefined],
  [Buffer.from(`{"type":"event","data":"in a binary frame"}`), "in a binary frame"],
]
const refusals: ReadonlyArray<readonly [text: string, type: string, data: string]> = [
  [`{"type":"subscribe"}`, "reject", "Unknown message type"],
  [`{"type":"ping"}`, "reject", "Unknown message type"],
  [`{"data":"no type"}`, "reject", "Unknown message type"],
  [`[1]`, "reject", "Unknown message type"],
  [`7`, "reject", "Unknown message type"],
  [`null`, "error", "Cannot read properties of null (reading 'type')"],
  [`hello`, "error", `Unexpected token 'h', "hello" is not valid JSON`],
]

const ms = (time: string): number => Date.parse(time)

/** A result says all that NimbusWS says, of this event, and what Nimbus adds beside it. */
const isFinished = (frame: unknown, event: typeof Accepted.Type): Finished => {
  const finished = readFinished(frame)
  const { payload } = finished
  assert.deepStrictEqual(payload.payload, event)
  assert.deepStrictEqual([payload.event_id, payload.client_id], [event.event_id, event.client_id])
  assert.isAtMost(ms(event.created_at), ms(payload.completed_at))
  assert.isAtMost(ms(payload.completed_at), ms(finished.finished_at))
  assert.deepStrictEqual([finished.id, finished.data], [event.event_id, event.data ?? null])
  assert.strictEqual(payload.kafka_offset, String(finished.seq))
  return finished
}

/** Sends an event, sees it accepted and then finished, and nothing else. */
const exchange = Effect.fnUntraced(function* (client: Wscat, clientId: string, text: string | Buffer, data: unknown) {
  client.say(text)
  const [first, second] = yield* client.take(2)
  const event = readAccepted(first)
  assert.strictEqual(event.client_id, clientId)
  assert.deepStrictEqual<unknown>(event.data, data)
  assert.strictEqual("data" in event, data !== undefined)
  return isFinished(second, event)
})

/** Digits that no double has: as text, for `JSON.parse` would lose them. */
const large = "12345678901234567890"

const expected = (times: number, text: string | undefined, part: string): void =>
  assert.strictEqual((text ?? "").split(part).length - 1, times, text)

/** The whole conversation at the URL of an approach, with nothing acknowledged: the results that came. */
export const converse = Effect.fnUntraced(function* (url: string, clientId: string) {
  const client = yield* wscat(`${url}?clientId=${clientId}`, true)
  const had: Array<Finished> = []
  for (const [text, data] of events) had.push(yield* exchange(client, clientId, text, data))
  for (const [text, type, data] of refusals) {
    client.say(text)
    const refusal = readRefusal((yield* client.take(1))[0])
    assert.deepStrictEqual([refusal.type, refusal.data], [type, data])
  }
  client.say(`{"type":"event","data":{"n":${large}}}`)
  yield* client.take(2)
  const [accepted, finished] = client.frames.slice(-2)
  expected(1, accepted, `"data":{"n":${large}}`)
  // In the accepted event, and as the answer of the handler, which is the same.
  expected(2, finished, `"data":{"n":${large}}`)
  had.push(readFinished(JSON.parse(finished ?? "")))
  return had
}, Effect.scoped)

/** Back again, the client gets what it did not acknowledge, each as it was but for the moment of sending; then it goes on live. */
export const comeBack = Effect.fnUntraced(function* (url: string, clientId: string, had: ReadonlyArray<Finished>) {
  const client = yield* wscat(`${url}?clientId=${clientId}`)
  const again = (yield* client.take(had.length)).map((frame) => readFinished(frame))
  const timeless = (finished: Finished) => ({ ...finished, finished_at: "whenever" })
  assert.deepStrictEqual(again.map(timeless), had.map(timeless))
  expected(2, client.frames.at(-1), `"data":{"n":${large}}`)
  const last = yield* exchange(client, clientId, `{"type":"event","data":"live again"}`, "live again")
  assert.isAbove(last.seq, had.at(-1)?.seq ?? 0)
}, Effect.scoped)
