/**
 * Clients of every transport that cancel their tasks, on all of Nimbus. A task that is cancelled ends in the log, whether a
 * worker has begun it or not.
 */
import { assert, describe, it } from "@effect/vitest"
import { EventLogMemory, Handlers, MailboxMemory } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { GrpcServer } from "@nimbus/gateway"
import { GrpcClient, PlainClient } from "@nimbus/gateway/testing"
import { Effect, Layer, Schema, type Scope, Stream } from "effect"
import type { HttpServer } from "effect/http"
import * as Nimbus from "./Nimbus.ts"

/** It never ends of its own accord. */
const ask = Handlers.task("ask", { input: Schema.Null, part: Schema.String, handler: () => Stream.never })

/** In one partition: what one client sends comes behind what another has sent before. */
const nimbus = Nimbus.layerAt(
  { host: "127.0.0.1", port: 0 },
  Layer.merge(EventLogMemory.layerMemory({ partitions: 1 }), MailboxMemory.layerMemory()),
).pipe(Layer.provide(Handlers.layer([...Handlers.samples, ask])))

/** What a client was told of its tasks, and which of its events had results, in order. */
interface Peer {
  ask(id: string): void
  cancel(id: string): Effect.Effect<void> | void
  square(id: string): void
  readonly told: () => ReadonlyArray<string>
}

type Open = (clientId: string) => Effect.Effect<Peer, unknown, Scope.Scope | GrpcServer | HttpServer.HttpServer>

const Item = Schema.Struct({
  id: Schema.String,
  of: Schema.optionalKey(Schema.String),
  end: Schema.optionalKey(Schema.String),
})
const Results = Schema.Struct({ type: Schema.Literal("results"), items: Schema.Array(Item) })
const isResults = Schema.is(Results)
const isCancelling = Schema.is(Schema.Struct({ type: Schema.Literal("cancelling"), ids: Schema.Array(Schema.String) }))

const words = ({ end, id, of }: typeof Item.Type): string =>
  of === undefined ? `result ${id}` : `${end ?? "part"} ${of}`

/** Both formats of a socket say it alike. */
const saying = (client: PlainClient.PlainClient) => ({
  ask: (id: string) => client.send({ type: "event", id, name: "ask", data: null }),
  cancel: (id: string) => client.send({ type: "cancel", id }),
  square: (id: string) => client.send({ type: "event", id, name: "sq", data: { number: 7 } }),
})

const native: Open = Effect.fnUntraced(function* (clientId) {
  const client = yield* PlainClient.connect(`${yield* Nimbus.url}/v1/stream?clientId=${clientId}`)
  yield* client.first("welcome")
  return {
    ...saying(client),
    told: () =>
      client.frames.flatMap((frame): ReadonlyArray<string> => {
        if (isResults(frame)) return frame.items.map(words)
        return isCancelling(frame) ? frame.ids.map((id) => `cancelling ${id}`) : []
      }),
  }
})

const isFinished = Schema.is(
  Schema.Struct({
    type: Schema.Literal("processed_finished"),
    id: Schema.String,
    end: Schema.optionalKey(Schema.String),
  }),
)
const isCancellingPlain = Schema.is(
  Schema.Struct({ type: Schema.Literal("cancelling"), data: Schema.Array(Schema.String) }),
)

const plain = (approach: string): Open =>
  Effect.fnUntraced(function* (clientId) {
    const url = `${yield* Nimbus.url}/${approach}/events?clientId=${clientId}&frames=all`
    const client = yield* PlainClient.connect(url)
    yield* client.first("welcome")
    return {
      ...saying(client),
      told: () =>
        client.frames.flatMap((frame): ReadonlyArray<string> => {
          if (isFinished(frame)) return [frame.end === undefined ? `result ${frame.id}` : `${frame.end} ${frame.id}`]
          return isCancellingPlain(frame) ? frame.data.map((id) => `cancelling ${id}`) : []
        }),
    }
  })

const ends = ["part", "done", "failed", "cancelled"]

const grpc: Open = Effect.fnUntraced(function* (clientId) {
  const { port } = yield* GrpcServer
  const client = yield* GrpcClient.connect({ port, metadata: { client_id: clientId, notices: "true" } })
  return {
    ask: (id) => client.send({ eventName: "ask", eventId: id, dataJson: "null" }),
    cancel: (id) => client.send({ cancel: id }),
    square: (id) => client.send({ eventName: "sq", eventId: id, number: 7 }),
    told: () =>
      client.responses.flatMap(({ cancelling, eventId, seq, task }) => {
        if (seq === undefined) return cancelling.map((id) => `cancelling ${id}`)
        return [task === undefined ? `result ${eventId}` : `${ends[task.end]} ${task.of}`]
      }),
  }
})

/** Cancels over HTTP what it has sent by its WebSocket. The answer stands for `cancelling`. */
const http: Open = Effect.fnUntraced(function* (clientId) {
  const peer = yield* native(clientId)
  const url = (yield* Nimbus.url).replace(/^ws/, "http")
  const answered: Array<string> = []
  const cancel = Effect.fnUntraced(function* (id: string) {
    const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id }) }
    const { status } = yield* Effect.promise(() => fetch(`${url}/v1/clients/${clientId}/cancels`, request))
    if (status === 200) answered.push(`cancelling ${id}`)
  })
  return { ...peer, cancel, told: () => [...answered, ...peer.told()] }
})

const until = (what: string, peer: Peer) =>
  eventually(
    what,
    Effect.sync(() => peer.told().includes(what)),
  )

const cancel = (peer: Peer, id: string) => peer.cancel(id) ?? Effect.void

describe.each<readonly [name: string, open: Open]>([
  ["/v1/stream", native],
  ["/approach2/events", plain("approach2")],
  ["/approach3/events", plain("approach3")],
  ["gRPC", grpc],
  ["HTTP", http],
])("a cancel by %s", (_, open) => {
  it.live("ends the client's own task once, and one of nothing is no error", () =>
    Effect.gen(function* () {
      const peer = yield* open("c1")
      yield* cancel(peer, "task")
      yield* until("cancelling task", peer)
      peer.ask("task")
      peer.square("s1")
      yield* until("result s1", peer)
      yield* cancel(peer, "task")
      yield* until("cancelled task", peer)
      yield* cancel(peer, "task")
      yield* eventually(
        "the log has them all",
        Effect.sync(() => peer.told().filter((told) => told === "cancelling task").length === 3),
      )
      peer.square("s2")
      yield* until("result s2", peer)
      const told = peer.told().filter((told) => !told.startsWith("cancelling"))
      assert.deepStrictEqual(told, ["result s1", "cancelled task", "result s2"])
    }).pipe(Effect.scoped, Effect.provide(nimbus, { local: true })),
  )

  it.live("does not reach the task of another client, whatever its id", () =>
    Effect.gen(function* () {
      const [mine, theirs] = [yield* open("c1"), yield* open("c2")]
      mine.ask("task")
      mine.square("s1")
      yield* until("result s1", mine)
      yield* cancel(theirs, "task")
      yield* until("cancelling task", theirs)
      // Behind it in the log.
      mine.square("s2")
      yield* until("result s2", mine)
      yield* cancel(mine, "task")
      yield* until("cancelled task", mine)
      assert.deepStrictEqual(
        mine.told().filter((told) => !told.startsWith("cancelling")),
        ["result s1", "result s2", "cancelled task"],
      )
      assert.deepStrictEqual(theirs.told(), ["cancelling task"])
    }).pipe(Effect.scoped, Effect.provide(nimbus, { local: true })),
  )
})
