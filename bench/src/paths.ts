/**
 * Which of our files an event, a result, an ack and a replayed page pass, as V8 counts it: a gateway and the consumers
 * run here on services in memory, one message is sent at a time over a socket, and a file is on its path if functions of
 * it were entered for every one of the messages. What runs by a clock is slowed down, so that it is not among them.
 *
 * | path | begins | ends |
 * | --- | --- | --- |
 * | event | its frame is written to the socket | its `accepted` frame has arrived |
 * | handling | its record is in the events topic | its result is in the results topic |
 * | result | its record is in the results topic | its frame has arrived at the client, which is LIVE |
 * | ack | its frame is written to the socket | the router has committed the result |
 * | replay | the gateway is told that a mailbox has something | the frame with it has arrived |
 *
 * The services are where a path ends: their files are not counted. Prints the files of each path as JSON.
 */
import { once } from "node:events"
import { Session } from "node:inspector/promises"
import { fileURLToPath } from "node:url"
import {
  ClientId,
  encode,
  encodeResult,
  type Event as LogEvent,
  EventId,
  type LogRecord,
  type Result,
  Seq,
} from "@nimbus/domain/protocol"
import {
  AckChannelMemory,
  ClientOffsetsMemory,
  EventLog,
  EventLogMemory,
  Handlers,
  Mailbox,
  MailboxMemory,
  Members,
  PodChannel,
  PodChannelMemory,
  RegistryMemory,
  Topics,
} from "@nimbus/domain/services"
import { Delivery, Gateway } from "@nimbus/gateway"
import { EventConsumer, ReplayConsumer, ResultConsumer } from "@nimbus/pipeline"
import { Effect, Layer, Stream } from "effect"
import { HttpServer } from "effect/http"
import { WebSocket } from "ws"

const rounds = 12
const soon_ms = 1
/** A day: no tick, sweep or other clock comes by. */
const seldom_ms = 86_400_000
const clientId = ClientId.make("c1")
const root = new URL("../../", import.meta.url)
const ends = /^packages\/(adapters\/|domain\/src\/services\/(\w*Memory|Mailbox\w*|LocalLog|Inbox|local\/\w+)\.ts$)/

// What is measured

/** The files of a path, each with the functions of it that were entered. */
type Path = Readonly<Record<string, ReadonlyArray<string>>>

const inspector = new Session()
inspector.connect()
await inspector.post("Profiler.enable")
await inspector.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true })

/** What was entered since the last time. */
const entered = async (): Promise<ReadonlyMap<string, ReadonlySet<string>>> => {
  const { result } = await inspector.post("Profiler.takePreciseCoverage")
  const files = new Map<string, ReadonlySet<string>>()
  for (const { functions, url } of result) {
    if (!url.startsWith(`${root}packages/`)) continue
    // A function that went on after a wait counts by one of its blocks. The module as a whole begins at 0.
    const called = functions.filter(
      ({ ranges }) => ranges[0]?.startOffset !== 0 && ranges.some(({ count }) => count > 0),
    )
    const file = fileURLToPath(url).slice(fileURLToPath(root).length)
    const names = called.map(({ functionName, ranges }) => functionName || `at ${ranges[0]?.startOffset}`)
    if (called.length > 0 && !ends.test(file)) files.set(file, new Set(names))
  }
  return files
}

/** What `one` enters each time. */
const pathOf = async (one: (round: number) => Promise<unknown>): Promise<Path> => {
  let path: ReadonlyMap<string, ReadonlySet<string>> | undefined = undefined
  for (let round = 0; round < rounds; round++) {
    await settled()
    await entered()
    await one(round)
    const now = await entered()
    path = path === undefined ? now : common(path, now)
  }
  return Object.fromEntries([...(path ?? [])].toSorted().map(([file, names]) => [file, [...names]]))
}

const common = (
  path: ReadonlyMap<string, ReadonlySet<string>>,
  other: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, ReadonlySet<string>> =>
  new Map(
    [...path].flatMap(([file, names]) => {
      const both = new Set([...names].filter((name) => other.get(file)?.has(name)))
      return both.size === 0 ? [] : [[file, both]]
    }),
  )

/** What the last message has left to do is done. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 20))

// What is run

/** How far the group of the result consumer has committed, and who waits for it. */
class Commits extends EventTarget {
  next = 0
  said(next: number): void {
    this.next = next
    this.dispatchEvent(new Event("commit"))
  }
  async reach(next: number): Promise<void> {
    while (this.next < next) await once(this, "commit")
  }
}

const commits = new Commits()

/** The log, which says what the result consumer commits. */
const log = Layer.effect(
  EventLog,
  Effect.gen(function* () {
    const log = yield* EventLog
    const { results } = yield* Topics
    const noting: EventLog["Service"]["subscribe"] = (topic, group) =>
      Stream.map(log.subscribe(topic, group), (assigned) => ({
        ...assigned,
        commit: (next, metadata) =>
          Effect.tap(assigned.commit(next, metadata), () => Effect.sync(() => topic === results && commits.said(next))),
      }))
    return { ...log, subscribe: noting }
  }),
).pipe(Layer.provide(EventLogMemory.layerMemory({ partitions: 1 })))

const services = Layer.mergeAll(
  log,
  MailboxMemory.layerMemory(),
  RegistryMemory.layerMemory(),
  PodChannelMemory.layerMemory(),
  AckChannelMemory.layerMemory(),
  ClientOffsetsMemory.layerMemory(),
  Members.layerMemory,
  Handlers.layer(Handlers.samples),
).pipe(Layer.provideMerge(Topics.layerDefault))

const quiet = { commit_every_ms: soon_ms, tick_ms: seldom_ms, look_every_ms: seldom_ms, measure_every_ms: seldom_ms }

const gateway = Gateway.layerWith({
  host: "127.0.0.1",
  port: 0,
  limits: { tick_ms: seldom_ms, lease_check_ms: seldom_ms, lease_ms: 2 * seldom_ms, journeys_per_second: 0 },
})
const eventConsumer = EventConsumer.layerWith(quiet)
const consumers = Layer.merge(ResultConsumer.layerWith(quiet), ReplayConsumer.layerWith(quiet))

/** Waits for the next frame of a type. */
const framesOf = (ws: WebSocket) => {
  const come: Array<string> = []
  ws.on("message", (data) => {
    come.push(String(data))
    ws.emit("frame")
  })
  return async (type: string): Promise<void> => {
    for (;;) {
      const at = come.findIndex((frame) => frame.startsWith(`{"type":"${type}"`))
      if (at >= 0) return void come.splice(at, 1)
      await once(ws, "frame")
    }
  }
}

const eventOf = (number: number): LogEvent => ({
  type: "event",
  id: EventId.make(`e${number}`),
  name: "sq",
  data: { number },
})
const resultOf = (seq: Seq): Result => ({ seq, id: EventId.make(`e${seq}`), name: "sq", data: { number: seq } })
const recordOf = (seq: Seq): LogRecord => ({ key: clientId, value: encodeResult(resultOf(seq)) })

/** All but the event consumer, which is here only until the client is LIVE: later it would join in. */
const delivering = Effect.gen(function* () {
  const { pod } = yield* Delivery
  const log = yield* EventLog
  const mailbox = yield* Mailbox
  const pods = yield* PodChannel
  const { events, results } = yield* Topics
  const run = Effect.runPromiseWith(yield* Effect.context())
  const url = yield* HttpServer.addressFormattedWith((address) => Effect.succeed(address.replace(/^http/, "ws")))
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`${url}/v1/stream?clientId=${clientId}&ack=client`)),
    (ws) => Effect.sync(() => ws.terminate()),
  )
  const frame = framesOf(ws)
  yield* Layer.build(eventConsumer).pipe(Effect.andThen(Effect.promise(() => frame("status"))), Effect.scoped)
  const send = (value: object) => ws.send(JSON.stringify(value))
  const first = yield* log.end(events, 0)
  const seqs = Array.from({ length: rounds }, (_, round) => Seq.make(first + round))
  return yield* Effect.promise(async () => {
    const event = await pathOf(async (round) => {
      send(eventOf(round))
      await frame("accepted")
    })
    const next = await run(log.end(results, 0))
    const records = seqs.map(recordOf)
    const result = await pathOf(async (round) => {
      await run(log.publish(results, 0, [records[round]!]))
      await frame("results")
    })
    const ack = await pathOf(async (round) => {
      send({ type: "ack", seq: seqs[round] })
      await commits.reach(next + round + 1)
    })
    const replay = await pathOf(async (round) => {
      const seq = Seq.make(first + rounds + round)
      const expected = await run(mailbox.offset(0))
      const { value } = recordOf(seq)
      const record = { clientId, seq, value, timestamp: 0, headers: undefined }
      await run(mailbox.put(0, { expected, next: (expected ?? 0) + 1, records: [record], hole: undefined }))
      send({ type: "ack", seq: seq - 1 })
      await settled()
      await entered()
      await run(pods.publish(pod, [{ _tag: "Mail", clientId }]))
      await frame("results")
    })
    return { event, result, ack, replay }
  })
}).pipe(Effect.provide(consumers), Effect.provide(gateway), Effect.provide(services))

/** The event consumer alone. */
const handling = Effect.gen(function* () {
  const log = yield* EventLog
  const { events, results } = yield* Topics
  const run = Effect.runPromiseWith(yield* Effect.context())
  const next = yield* Stream.toPull(log.tail(results, 0, "earliest"))
  const records = Array.from({ length: rounds }, (_, round) => ({ key: clientId, value: encode(eventOf(round)) }))
  return yield* Effect.promise(() =>
    pathOf(async (round) => {
      await run(log.publish(events, 0, [records[round]!]))
      await run(next)
    }),
  )
}).pipe(Effect.provide(eventConsumer), Effect.provide(services))

const paths = await Effect.runPromise(Effect.scoped(delivering))
console.log(JSON.stringify({ ...paths, handling: await Effect.runPromise(Effect.scoped(handling)) }, undefined, 2))
