import { assert, describe, it } from "@effect/vitest"
import { RoleControl } from "@nimbus/domain/admin"
import { Handlers } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Config, Effect, Layer, Queue, Schema, Stream } from "effect"
import * as Nimbus from "./Nimbus.ts"
import { logIn } from "./Stores.ts"
import { temporaryDirectory } from "./testing/Processes.ts"
import * as RawClient from "./testing/RawClient.ts"

/** Says the words that a test gives it, and those of earlier attempts again. */
const story = (words: Queue.Queue<string>, runs: Array<{ readonly attempt: number; readonly before: string }>) =>
  Handlers.task("story", {
    input: Schema.Struct({ words: Schema.Int }),
    part: Schema.String,
    resumes: true,
    combine: "strings",
    join_ms: 0,
    handler: (input, { attempt, published }) =>
      Stream.unwrap(
        Effect.map(Stream.runCollect(published), (parts) => {
          runs.push({ attempt, before: parts.join("") })
          return Stream.take(Stream.fromQueue(words), input.words - parts.join("").length)
        }),
      ),
  })

const port = Effect.map(Nimbus.url, (url) => Number(new URL(url).port))

/** In memory, or in a directory of its own. */
const nimbusOn = Effect.fnUntraced(function* (stores: "memory" | "lmdb") {
  if (stores === "memory") return Nimbus.layerMemory()
  return Nimbus.layerAt({ host: "127.0.0.1", port: 0 }, logIn(Config.succeed(yield* temporaryDirectory)))
})

const has = (what: string, condition: () => boolean) => eventually(what, Effect.sync(condition))

describe("tasks", () => {
  it.live.each(["memory", "lmdb"] as const)(
    "stream parts to a client on %s, each once and in order, while the worker dies and the client is away; one end",
    (stores) =>
      Effect.gen(function* () {
        const words = yield* Queue.unbounded<string>()
        const runs: Array<{ readonly attempt: number; readonly before: string }> = []
        const nimbus = (yield* nimbusOn(stores)).pipe(Layer.provide(Handlers.layer([story(words, runs)])))
        yield* Effect.gen(function* () {
          const { set } = yield* RoleControl
          const first = yield* Effect.scoped(
            Effect.gen(function* () {
              const client = yield* RawClient.connect(yield* port, "clientId=ann&ack=auto")
              client.send({ type: "event", id: "e1", name: "story", data: { words: 6 } })
              yield* Queue.offerAll(words, ["a", "b"])
              yield* has("two words", () => textOf(client.results()) === "ab")
              return client.results()
            }),
          )
          yield* set("task-worker", false)
          yield* set("task-worker", true)
          yield* has("the next attempt", () => runs.length === 2)
          yield* Queue.offerAll(words, ["c", "d"])
          const after = first.at(-1)?.seq ?? 0
          const client = yield* RawClient.connect(yield* port, `clientId=ann&ack=auto&after=${after}`)
          yield* has("four words", () => textOf(client.results()) === "cd")
          // The event consumer too: what counts is the same when it has started over.
          yield* set("event-consumer", false)
          yield* Queue.offerAll(words, ["e", "f"])
          yield* set("event-consumer", true)
          yield* has("an end", () => client.results().some(({ end }) => end !== undefined))
          const items = [...first, ...client.results()]
          assert.strictEqual(textOf(items), "abcdef")
          assert.deepStrictEqual(
            items.flatMap(({ end, of }) => (end === undefined ? [] : `${of} ${end}`)),
            ["e1 done"],
          )
          assert.deepStrictEqual(
            items.slice(0, -1).map(({ part }) => part),
            items.slice(0, -1).map((_, i) => i),
          )
          assert.deepStrictEqual(runs, [
            { attempt: 1, before: "" },
            { attempt: 2, before: "ab" },
          ])
        }).pipe(Effect.provide(nimbus))
      }).pipe(Effect.scoped),
  )

  it.live("end as cancelled when their client cancels them", () =>
    Effect.gen(function* () {
      const words = yield* Queue.unbounded<string>()
      const nimbus = Nimbus.layerMemory().pipe(Layer.provide(Handlers.layer([story(words, [])])))
      yield* Effect.gen(function* () {
        const client = yield* RawClient.connect(yield* port, "clientId=ann&ack=auto")
        client.send({ type: "event", id: "e1", name: "story", data: { words: 6 } })
        yield* Queue.offer(words, "a")
        yield* has("a word", () => textOf(client.results()) === "a")
        client.send({ type: "cancel", id: "e1" })
        yield* has("an end", () => client.results().at(-1)?.end === "cancelled")
        client.send({ type: "event", id: "e2", name: "story", data: { words: 1 } })
        yield* Queue.offer(words, "b")
        yield* has("another task", () => client.results().at(-1)?.end === "done")
        assert.strictEqual(textOf(client.results()), "ab")
      }).pipe(Effect.provide(nimbus))
    }).pipe(Effect.scoped),
  )
})

const textOf = (items: ReturnType<RawClient.RawClient["results"]>): string =>
  items.map(({ data, end }) => (end === undefined && typeof data === "string" ? data : "")).join("")
