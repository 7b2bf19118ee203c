/** The words of NimbusWS on their own: what goes into the log, and what comes out of records of today and before. */
import { assert, describe, it } from "@effect/vitest"
import {
  ClientId,
  encodeCompleted,
  encodeResult,
  EventId,
  type Frames,
  type Item,
  Journey,
  Seq,
  type TaskLedger,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { Result, Schema } from "effect"
import { gatewayLimits } from "../Limits.ts"
import type { Query } from "./ConnectQuery.ts"
import { nimbusWs } from "./NimbusWsCodec.ts"
import type { Frame, FrameCodec } from "./FrameCodec.ts"

const clientId = ClientId.make("c1")
const place = { events: "events", results: "results", partition: 2 }
const iso = (ms: number) => new Date(ms).toISOString()

/** A connection whose clock says 0, 1, 2, … seconds. */
const connection = (query: Partial<Query> = {}) => {
  let seconds = 0
  const now = () => 1_000 * seconds++
  return nimbusWs.open({ query: { clientId, ...query }, limits: gatewayLimits, now, place })
}

const AnyFrame = Schema.Record(Schema.String, Schema.Unknown)
const read = (frame: Frame) => Schema.decodeUnknownSync(Schema.fromJsonString(AnyFrame))(Buffer.from(frame).toString())
const all = (frames: ReadonlyArray<Frame>) => frames.map(read)

const parse = (codec: FrameCodec, text: string) => codec.parse(Buffer.from(text), false)

const eventIn = (codec: FrameCodec, text: string): Frames.EventFrame => {
  const frame = Result.getOrThrow(parse(codec, text))
  return frame.type === "event" ? frame : assert.fail(frame.type)
}

/** What the log gets of a client's event. */
const send = (codec: FrameCodec, text: string, id = "e1"): Uint8Array =>
  codec.record(eventIn(codec, text), EventId.make(id), Buffer.from(text))

const accepted = (codec: FrameCodec, ...ids: ReadonlyArray<string>) =>
  all(codec.notices({ _tag: "Accepted", ids: ids.map((id) => EventId.make(id)) }))

const item = (seq: number, value: Uint8Array): Item => ({ seq: Seq.make(seq), value })

/** The result of an event that was taken at `created_at`, as the event consumer writes it. */
const completed = (event: Uint8Array, created_at: string, id = "e1", seq = 12): Item => {
  const result = { seq: Seq.make(seq), id: EventId.make(id), name: "sq", data: { result: 49 } }
  return item(seq, encodeCompleted(result, { created_at }, iso(500), event, false))
}

describe("the words of NimbusWS", () => {
  it("tells the accepted event again with its result, and what the handler answered beside it", () => {
    const codec = connection()
    const event = send(codec, `{"type":"event","data":{"number":7}}`)
    const [told] = accepted(codec, "e1")
    assert.deepStrictEqual(told, {
      type: "event_accepted",
      event_id: "e1",
      client_id: "c1",
      status: "Event accepted",
      created_at: iso(0),
      data: { number: 7 },
    })
    assert.deepStrictEqual(all(codec.results([completed(event, iso(0))])), [
      {
        type: "processed_finished",
        payload: {
          type: "event_processed_successfully",
          event_id: "e1",
          client_id: "c1",
          payload: told,
          status: "Event Processed Successfully",
          completed_at: iso(500),
          processed_result_sent_to: "results",
          partition: 2,
          topic: "events",
          kafka_offset: "12",
        },
        finished_at: iso(1_000),
        seq: 12,
        id: "e1",
        name: "sq",
        data: { result: 49 },
      },
    ])
  })

  it("keeps what was sent as it was written", () => {
    const codec = connection()
    const event = send(codec, `{"data":1,"type":"event","data":{"n": 12345678901234567890},"more":1}`)
    const [frame] = codec.notices({ _tag: "Accepted", ids: [EventId.make("e1")] })
    assert.include(String(frame), `"data":{"n": 12345678901234567890}}`)
    const [finished] = codec.results([completed(event, iso(0))])
    assert.include(String(finished), `"data":{"n": 12345678901234567890}},"status"`)
  })

  it("tells no data of an event without data", () => {
    const codec = connection()
    const event = send(codec, `{"type":"event"}`)
    const [told] = accepted(codec, "e1")
    assert.deepStrictEqual(Object.keys(told ?? {}), ["type", "event_id", "client_id", "status", "created_at"])
    const result = { seq: Seq.make(1), id: EventId.make("e1"), name: "event", data: null }
    const value = encodeCompleted(result, { created_at: iso(0), without_data: true }, iso(1), event, false)
    const [finished] = all(codec.results([item(1, value)]))
    assert.deepInclude(finished?.["payload"], { payload: told })
    assert.isNull(finished?.["data"])
  })

  it("tells that an event is accepted before its result, which may be here first, and only once", () => {
    const codec = connection()
    const events = ["e1", "e2", "e3"].map((id) => send(codec, `{"type":"event","data":"${id}"}`, id))
    const came = all(codec.results([completed(events[1]!, iso(1_000), "e2")]))
    assert.deepStrictEqual(
      came.map(({ event_id, id, type }) => [type, event_id ?? id]),
      [
        ["event_accepted", "e1"],
        ["event_accepted", "e2"],
        ["processed_finished", "e2"],
      ],
    )
    assert.deepStrictEqual(
      accepted(codec, "e1").map(({ event_id }) => event_id),
      [],
    )
    assert.deepStrictEqual(
      accepted(codec, "e2", "e3").map(({ event_id }) => event_id),
      ["e3"],
    )
  })

  it("takes no older event of the same id for one that is under way", () => {
    const codec = connection()
    const event = send(codec, `{"type":"event","data":1}`)
    const types = all(codec.results([completed(event, iso(-1_000))])).map(({ type }) => type)
    assert.deepStrictEqual(types, ["processed_finished"])
    assert.strictEqual(accepted(codec, "e1").length, 1)
  })

  it("tells no second end of an event whose id was used before, but that it is accepted", () => {
    const event = (codec: FrameCodec) => send(codec, `{"type":"event","id":"e1","data":7}`)
    const repeated = (codec: FrameCodec) => {
      const record = event(codec)
      const repeat = { seq: Seq.make(15), id: EventId.make("e1"), name: "event", data: null, repeated: Seq.make(12) }
      return codec.results([item(15, encodeCompleted(repeat, { created_at: iso(0) }, iso(500), record, false))])
    }
    const [told, ...none] = all(repeated(connection()))
    assert.deepInclude(told, { type: "event_accepted", event_id: "e1", data: 7 })
    assert.deepStrictEqual(none, [])
    assert.deepStrictEqual(all(repeated(connection({ frames: "all" }))).slice(1), [
      { type: "repeated", data: { seq: 15, id: "e1", repeated: 12 } },
    ])
  })

  it("tells of a failed event that it has failed, with the same fields", () => {
    const codec = connection()
    const event = send(codec, `{"type":"event","data":1}`)
    const error = { code: "UNKNOWN_EVENT", message: "No handler is called" }
    const result = { seq: Seq.make(1), id: EventId.make("e1"), name: "no", error }
    const value = encodeCompleted(result, { created_at: iso(0) }, iso(1), event, false)
    const [, finished] = all(codec.results([item(1, value)]))
    assert.deepInclude(finished, { type: "processed_finished", error })
    const words = { type: "event_processing_failed", status: "Event Processing Failed", completed_at: iso(1) }
    assert.deepInclude(finished?.["payload"], words)
  })

  it("tells records that say nothing of when with the time of now, and their own data", () => {
    const codec = connection()
    const record = { seq: Seq.make(3), id: EventId.make("m1"), name: "news" }
    const [told, failed] = all(
      codec.results([
        item(3, encodeResult({ ...record, data: "old" })),
        item(3, encodeResult({ ...record, error: { code: "BAD_INPUT", message: "no" } })),
      ]),
    )
    const event = { type: "event_accepted", event_id: "m1", client_id: "c1", status: "Event accepted" }
    const payload = { ...event, created_at: iso(0), data: "old" }
    assert.deepInclude(told?.["payload"], { payload, completed_at: iso(0), kafka_offset: "3" })
    assert.strictEqual(told?.["data"], "old")
    assert.deepInclude(failed?.["payload"], { payload: { ...event, created_at: iso(0) } })
  })

  it("ends the event of a task by the end of the task, and has its parts for who asks for them", () => {
    const task = { clientId, id: EventId.make("e1"), seq: Seq.make(12), name: "ask", resumes: false, timestamp_ms: 0 }
    const ended = (how: TaskLedger.End) =>
      item(
        14,
        TaskRecords.encodeEnd(Seq.make(14), { _tag: "Ended", task: { ...task, attempt: 1, next: 1 }, part: 1, ...how }),
      )
    const part = item(
      13,
      TaskRecords.encodePart(Seq.make(13), { ...task, attempt: 1, next: 1 }, 0, `[12345678901234567890]`),
    )
    const [done, ...none] = all(connection().results([part, ended({ end: "done" })]))
    assert.deepStrictEqual(none, [])
    const marks = { seq: 14, id: "e1", name: "ask", attempt: 1, part: 1 }
    assert.deepInclude(done, { type: "processed_finished", ...marks, data: null, end: "done" })
    const event = { type: "event_accepted", event_id: "e1", client_id: "c1", status: "Event accepted" }
    const words = { event_id: "e1", payload: { ...event, created_at: iso(0) } }
    assert.deepInclude(done?.["payload"], { type: "event_processed_successfully", ...words })
    const error = { code: "HANDLER_FAILED", message: "no" }
    const [cancelled, failed] = all(
      connection().results([ended({ end: "cancelled" }), ended({ end: "failed", error })]),
    )
    assert.deepInclude(cancelled, { ...marks, end: "cancelled" })
    assert.deepInclude(cancelled?.["payload"], { type: "event_processing_failed", ...words })
    assert.deepInclude(failed, { ...marks, end: "failed", error })
    assert.deepInclude(failed?.["payload"], { type: "event_processing_failed" })
    const [told] = connection({ frames: "all" }).results([part])
    assert.strictEqual(String(told), `{"type":"task_part","data":${Buffer.from(part.value).toString()}}`)
  })

  it("takes a cancel of who asks for its own frames, and says that the log has it", () => {
    const cancel = `{"type":"cancel","id":"e1"}`
    const { message } = Result.getOrThrow(Result.flip(parse(connection(), cancel)))
    assert.strictEqual(message, "Unknown message type")
    const asked = connection({ frames: "all" })
    assert.deepStrictEqual<unknown>(Result.getOrThrow(parse(asked, cancel)), { type: "cancel", id: "e1" })
    assert.isTrue(Result.isFailure(parse(asked, `{"type":"cancel","id":""}`)))
    const notice = { _tag: "Cancelling", ids: [EventId.make("e1")] } as const
    assert.deepStrictEqual(all(asked.notices(notice)), [{ type: "cancelling", data: ["e1"] }])
    assert.deepStrictEqual(connection().notices(notice), [])
  })

  it("adds the journey of a sampled result where it is asked for", () => {
    const headers = Journey.sample({ time: 1, service: "gateway", instance: "gw", step: "accepted" })
    const value = encodeResult({ seq: Seq.make(1), id: EventId.make("e1"), name: "sq", data: 1 })
    const steps = (query: Partial<Query>) =>
      all(connection(query).results([{ ...item(1, value), headers }])).map(({ journey }) => journey)
    assert.deepStrictEqual(steps({}), [undefined])
    assert.deepStrictEqual(steps({ journey: "true" }), [JSON.parse(JSON.stringify(Journey.steps(headers)))])
  })

  it("says that a record can't be read", () => {
    const [told] = all(connection().results([item(4, Buffer.from(`{"seq":4,"id":`))]))
    assert.deepInclude(told, { type: "error", code: "CORRUPT_RECORD", seq: 4 })
  })

  for (const [what, text, type, data] of [
    ["another type", `{"type":"subscribe"}`, "reject", "Unknown message type"],
    ["no type", `{"data":1}`, "reject", "Unknown message type"],
    ["the last of two types", `{"type":"event","type":"x"}`, "reject", "Unknown message type"],
    ["a type that is no text", `{"type":["event"]}`, "reject", "Unknown message type"],
    ["an array", `[1]`, "reject", "Unknown message type"],
    ["a number", `7`, "reject", "Unknown message type"],
    ["text", `"event"`, "reject", "Unknown message type"],
    ["an ack", `{"type":"ack","seq":1}`, "reject", "Unknown message type"],
    ["null", `null`, "error", "Cannot read properties of null (reading 'type')"],
    ["nothing", ``, "error", "Unexpected end of JSON input"],
    ["no JSON", `hello`, "error", `Unexpected token 'h', "hello" is not valid JSON`],
  ] as const) {
    it(`answers ${what} as NimbusWS does`, () => {
      const codec = connection()
      const { code, id, message } = Result.getOrThrow(Result.flip(parse(codec, text)))
      assert.deepInclude(codec.refusal({ code, id, message }), { type, data })
    })
  }

  it.each([
    [`{"type":"event","id":1,"name":null,"data":1}`, { type: "event", name: "event" }],
    [`{"type":"x","type":"event"}`, { type: "event", name: "event" }],
    [`{"type":"event","id":"e1","name":"sq"}`, { type: "event", id: "e1", name: "sq" }],
    [`{"type":"event","data":12345678901234567890}`, { type: "event", name: "event" }],
  ])("takes %s", (text, expected) => {
    assert.deepStrictEqual<unknown>(Result.getOrThrow(parse(connection(), text)), expected)
  })

  it("refuses a number beyond all bounds, which would be null to handlers", () => {
    const refused = Result.getOrThrow(Result.flip(parse(connection(), `{"type":"event","data":1e999}`)))
    assert.strictEqual(refused.code, "BAD_NUMBER")
  })

  it("reads a binary frame as text, and refuses one that is none", () => {
    const frame = (byte: number) =>
      Buffer.from([...Buffer.from(`{"type":"event","data":"`), byte, ...Buffer.from(`"}`)])
    const codec = connection()
    assert.strictEqual(Result.getOrThrow(codec.parse(frame(0x41), true)).type, "event")
    assert.strictEqual(Result.getOrThrow(Result.flip(codec.parse(frame(0xff), true))).code, "NOT_JSON")
  })

  it.each([
    ["an id that is too long", `{"type":"event","id":"${"x".repeat(129)}"}`],
    ["an empty name", `{"type":"event","name":""}`],
    ["data that is nested too deeply", `{"type":"event","data":${"[".repeat(200)}${"]".repeat(200)}}`],
  ])("refuses an event with %s", (_, text) => {
    assert.strictEqual(Result.getOrThrow(Result.flip(parse(connection(), text))).code, "BAD_FRAME")
  })

  it("has frames of its own for who asks for them", () => {
    const lost = { _tag: "Lost", after: Seq.make(1), upTo: Seq.make(2) } as const
    const live = { _tag: "Status", status: "LIVE" } as const
    assert.deepStrictEqual([...connection().notices(lost), ...connection().notices(live)], [])
    const asked = connection({ frames: "all" })
    assert.deepStrictEqual(all([...asked.notices(lost), ...asked.notices(live)]), [
      { type: "lost", data: { after: 1, upTo: 2 } },
      { type: "status", data: "LIVE" },
    ])
  })
})
