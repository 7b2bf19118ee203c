/** Tasks, as a program of the SDK sees them: on all of Nimbus, while connections and workers end. */
import { connect, type Connected, Memory } from "@nimbus/client"
import { layerFile } from "@nimbus/client/node"
import { RoleControl } from "@nimbus/domain/admin"
import { Handlers } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { assert, describe, it } from "@effect/vitest"
import { type Cause, Effect, Layer, Queue, Schema, Stream } from "effect"
import * as Nimbus from "./Nimbus.ts"
import { temporaryDirectory } from "./testing/Processes.ts"

type Words = Queue.Queue<string, Cause.Done>

/** Says the words that a test gives it. An attempt of `again` begins with nothing, whatever was said before. */
const teller = (name: string, resumes: boolean, words: Words) =>
  Handlers.task(name, { input: Schema.Json, part: Schema.String, resumes, handler: () => Stream.fromQueue(words) })

const start = Effect.gen(function* () {
  const words: Words = yield* Queue.unbounded<string, Cause.Done>()
  const handlers = Handlers.layer([teller("again", false, words), teller("on", true, words)])
  const context = yield* Layer.build(Nimbus.layerMemory().pipe(Layer.provide(handlers)))
  return yield* Effect.gen(function* () {
    const url = yield* Nimbus.url
    const { set } = yield* RoleControl
    /** Another worker begins what this one has not ended. */
    const killWorker = Effect.andThen(set("task-worker", false), set("task-worker", true))
    return { words, url, killWorker }
  }).pipe(Effect.provideContext(context))
})

const client = (url: string, memory = Memory.layerMemory) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ url, clientId: "ann", memory, onResult: () => {} })),
    (client) => Effect.promise(() => client.close()),
  )

/** Reads a task as a page does, and says how it ends. */
const reading = (client: Connected, id: string) => {
  const seen = { text: "", restarts: 0, end: "" }
  const onRestart = () => {
    seen.text = ""
    seen.restarts++
  }
  const read = async () => {
    for await (const part of client.resume(id, { onRestart })) seen.text += String(part)
  }
  const codeOf = (error: unknown) => (error instanceof Object && "code" in error ? String(error.code) : String(error))
  const whole = read().then(
    () => (seen.end = "done"),
    (error: unknown) => (seen.end = codeOf(error)),
  )
  return { seen, whole: Effect.promise(() => whole) }
}

const until = (what: string, condition: () => boolean) => eventually(what, Effect.sync(condition))

describe("the SDK", () => {
  it.live("reads a task to its end over a restart of its program and the death of its worker, each word once", () =>
    Effect.gen(function* () {
      const { killWorker, url, words } = yield* start
      const memory = layerFile(yield* temporaryDirectory)
      const id = yield* Effect.scoped(
        Effect.gen(function* () {
          const first = yield* client(url, memory)
          const { id } = first.stream("on", null)
          const { seen } = reading(first, id)
          yield* Queue.offerAll(words, ["a ", "b "])
          yield* until("two words", () => seen.text === "a b ")
          return id
        }),
      )
      yield* Queue.offerAll(words, ["c "])
      yield* killWorker
      const second = yield* client(url, memory)
      assert.deepStrictEqual(
        second.tasks.map((task) => String(task.id)),
        [id],
      )
      const { seen, whole } = reading(second, id)
      yield* Queue.offerAll(words, ["d "])
      yield* until("four words", () => seen.text === "a b c d ")
      yield* killWorker
      yield* Queue.offerAll(words, ["e"])
      yield* Queue.end(words)
      yield* whole
      assert.deepStrictEqual(seen, { text: "a b c d e", restarts: 0, end: "done" })
    }).pipe(Effect.scoped),
  )

  it.live("is told once that a task begins again, and ends with the words of its last attempt", () =>
    Effect.gen(function* () {
      const { killWorker, url, words } = yield* start
      const ann = yield* client(url)
      const { id } = ann.stream("again", null)
      const { seen, whole } = reading(ann, id)
      yield* Queue.offerAll(words, ["a ", "b "])
      yield* until("two words", () => seen.text === "a b ")
      yield* killWorker
      yield* Queue.offerAll(words, ["c ", "d"])
      yield* until("two others", () => seen.text === "c d")
      yield* Queue.end(words)
      yield* whole
      assert.deepStrictEqual(seen, { text: "c d", restarts: 1, end: "done" })
    }).pipe(Effect.scoped),
  )

  it.live("goes on with a task when its reader has left the loop, unless it asked to cancel it then", () =>
    Effect.gen(function* () {
      const { url, words } = yield* start
      const ann = yield* client(url)
      const leaving = async (cancelOnLeave: boolean) => {
        const task = ann.stream("on", null, { cancelOnLeave })
        for await (const part of task) {
          assert.strictEqual(part, "a")
          break
        }
        return reading(ann, task.id)
      }
      yield* Queue.offer(words, "a")
      const cancelled = yield* Effect.promise(() => leaving(true))
      yield* cancelled.whole
      assert.deepStrictEqual(cancelled.seen, { text: "a", restarts: 0, end: "TASK_CANCELLED" })
      yield* Queue.offer(words, "a")
      const { seen, whole } = yield* Effect.promise(() => leaving(false))
      yield* Queue.offer(words, "b")
      yield* Queue.end(words)
      yield* whole
      assert.deepStrictEqual(seen, { text: "ab", restarts: 0, end: "done" })
    }).pipe(Effect.scoped),
  )

  it.live("cancels a task, which ends its stream, and too late is no error", () =>
    Effect.gen(function* () {
      const { url, words } = yield* start
      const ann = yield* client(url)
      const { id } = ann.stream("on", null)
      const { seen, whole } = reading(ann, id)
      yield* Queue.offer(words, "a")
      yield* until("a word", () => seen.text === "a")
      yield* Effect.promise(() => ann.cancel(id))
      yield* whole
      assert.deepStrictEqual(seen, { text: "a", restarts: 0, end: "TASK_CANCELLED" })
      yield* Effect.promise(() => ann.cancel(id))
    }).pipe(Effect.scoped),
  )
})
