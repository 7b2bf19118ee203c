import { assert, describe, it } from "@effect/vitest"
import { Result as Res } from "effect"
import { ClientId, EventId, RunId, seqUnsafe } from "./Ids.ts"
import { decodeResult, encode, type Event, peekSeq } from "./Records.ts"
import {
  decodeTaskNote,
  decodeTaskWrite,
  encodeEnd,
  encodePart,
  encodePartOfRun,
  encodeTask,
  isProgress,
  isTaskRecord,
  encodeFailedPart,
  encodeProgress,
  readTaskWrite,
  TaskNote,
  TaskWrite,
} from "./TaskRecords.ts"
import type * as TaskLedger from "./TaskLedger.ts"

const utf8 = (written: string): Uint8Array => new TextEncoder().encode(written)

const spliced = (bytes: Uint8Array, at: number, more: string): Uint8Array =>
  new Uint8Array([...bytes.subarray(0, at), ...utf8(more), ...bytes.subarray(at)])

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const task: TaskLedger.Task = {
  clientId: ClientId.make("ann"),
  id: EventId.make('e"1'),
  seq: seqUnsafe(12),
  name: "ask",
  resumes: false,
  timestamp_ms: 0,
  attempt: 2,
  next: 3,
}

describe("TaskRecords", () => {
  it.prop("come back as they were written", { write: TaskWrite, note: TaskNote }, ({ note, write }) => {
    const writeBytes = encodeTask(write)
    const noteBytes = encodeTask(note)
    assert.isTrue(isTaskRecord(writeBytes) && isTaskRecord(noteBytes))
    const expected = (bytes: Uint8Array): string => JSON.stringify(JSON.parse(text(bytes)))
    assert.strictEqual(JSON.stringify(Res.getOrThrow(decodeTaskWrite(writeBytes))), expected(writeBytes))
    assert.strictEqual(JSON.stringify(Res.getOrThrow(decodeTaskNote(noteBytes))), expected(noteBytes))
  })

  it("are told from events by their first bytes", () => {
    const event: Event = { type: "event", id: EventId.make("e1"), name: "ask", data: { task: 1 } }
    assert.isFalse(isTaskRecord(encode(event)))
    assert.isFalse(isTaskRecord(new Uint8Array()))
  })

  it("are the same where they are written as text, and progress is seen at a glance", () => {
    const part = { task: seqUnsafe(1), do: "part", run: RunId.make("w:1.1"), part: 2, data: ["a"] } as const
    assert.strictEqual(text(encodePartOfRun(part.task, part.run, part.part, '["a"]')), text(encodeTask(part)))
    const progress = { task: seqUnsafe(12), is: "progress", attempt: 1, part: 0, data: null } as const
    assert.isTrue(isProgress(encodeTask(progress)))
    for (const other of [encodeTask({ task: seqUnsafe(12), is: "ended" }), encodeTask(part), new Uint8Array()])
      assert.isFalse(isProgress(other))
  })

  it.prop(
    "are read the same by hand as by the schema, whatever others have written",
    { write: TaskWrite },
    ({ write }) => {
      const bytes = encodeTask(write)
      for (let i = 0; i <= bytes.length; i++) {
        const end = bytes.length - i
        for (const value of [bytes.subarray(0, end), spliced(bytes, end, " "), spliced(bytes, end, `,"x":1`)]) {
          const schema = decodeTaskWrite(value)
          const read = readTaskWrite(value)
          assert.strictEqual(Res.isSuccess(read), Res.isSuccess(schema), text(value))
          if (Res.isFailure(read) || Res.isFailure(schema)) continue
          const { text: data, ...others } = read.success.do === "part" ? read.success : { ...read.success, text: "" }
          const readAs = read.success.do === "part" ? { ...others, data: JSON.parse(data) } : others
          assert.strictEqual(JSON.stringify(readAs), JSON.stringify(schema.success))
        }
      }
    },
    { arbitrary: { runs: 20 } },
  )

  it("keep the data of a part as it is written, but for its lines", () => {
    const of = (data: string): string | undefined => {
      const write = Res.getOrUndefined(
        readTaskWrite(utf8(`{"task":1,"do":"part","run":"w.1","part":0,"data":${data}}`)),
      )
      return write?.do === "part" ? write.text : undefined
    }
    assert.strictEqual(of(`{"a": 1.0, "b":1e3}`), `{"a": 1.0, "b":1e3}`)
    assert.strictEqual(of(`[1,\n2]`), "[1,2]")
    assert.isUndefined(of(`[1,}`))
    const beyond = utf8(`{"task":9999999999999999,"do":"part","run":"w.1","part":0,"data":1}`)
    assert.isTrue(Res.isFailure(readTaskWrite(beyond)))
  })

  it("say what is wrong", () => {
    const wrong = encodeTask({ task: seqUnsafe(1), do: "begin", run: RunId.make("w.1") }).slice(0, -1)
    assert.strictEqual(Res.isFailure(decodeTaskWrite(wrong)) && decodeTaskWrite(wrong)._tag, "Failure")
    assert.isTrue(Res.isFailure(decodeTaskNote(new TextEncoder().encode(`{"task":1,"is":"done"}`))))
  })

  it("become items that a client and an archive can read", () => {
    const part = encodePart(seqUnsafe(13), task, 1, `{"text":"a"}`)
    assert.strictEqual(peekSeq(part), 13)
    assert.deepStrictEqual(Res.getOrThrow(decodeResult(part)), {
      seq: seqUnsafe(13),
      id: EventId.make("t12.2.1"),
      name: "ask",
      data: { text: "a" },
      of: task.id,
      attempt: 2,
      part: 1,
    })
    const error = { code: "HANDLER_FAILED", message: "no" }
    const large = Res.getOrThrow(decodeResult(encodeFailedPart(seqUnsafe(13), task, 1, error)))
    const { data: _, ...others } = Res.getOrThrow(decodeResult(encodePart(seqUnsafe(13), task, 1, "0")))
    assert.deepStrictEqual(large, { ...others, error })
    const progress = { task: seqUnsafe(12), is: "progress", attempt: 2, part: 1, data: ["a"] } as const
    assert.strictEqual(text(encodeProgress(progress.task, 2, 1, '["a"]')), text(encodeTask(progress)))
    const failed = encodeEnd(seqUnsafe(16), { _tag: "Ended", task, part: 3, end: "failed", error })
    assert.deepStrictEqual(Res.getOrThrow(decodeResult(failed)), {
      seq: seqUnsafe(16),
      id: EventId.make("t12.end"),
      name: "ask",
      error,
      of: task.id,
      attempt: 2,
      part: 3,
      end: "failed",
    })
    const cancelled = encodeEnd(seqUnsafe(16), { _tag: "Ended", task, part: 3, end: "cancelled" })
    assert.strictEqual(Res.getOrThrow(decodeResult(cancelled)).end, "cancelled")
  })
})
