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
  TaskNote,
  TaskWrite,
} from "./TaskRecords.ts"
import type * as TaskLedger from "./TaskLedger.ts"

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
