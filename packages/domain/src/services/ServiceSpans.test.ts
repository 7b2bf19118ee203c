import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { MailboxUnavailable } from "../Errors.ts"
import { ClientId, Epoch, Incarnation, PodId, start } from "../protocol/Ids.ts"
import { SpansPerSecond } from "../observability/SpansPerSecond.ts"
import { utf8 } from "../protocol/internal/Utf8.ts"
import { AckChannel } from "./AckChannel.ts"
import * as AckChannelMemory from "./AckChannelMemory.ts"
import { Archive } from "./Archive.ts"
import * as ArchiveMemory from "./ArchiveMemory.ts"
import { ClientOffsets } from "./ClientOffsets.ts"
import * as ClientOffsetsMemory from "./ClientOffsetsMemory.ts"
import { EventLog } from "./EventLog.ts"
import * as EventLogMemory from "./EventLogMemory.ts"
import { Mailbox } from "./Mailbox.ts"
import * as MailboxMemory from "./MailboxMemory.ts"
import { PodChannel } from "./PodChannel.ts"
import * as PodChannelMemory from "./PodChannelMemory.ts"
import { Registry } from "./Registry.ts"
import * as RegistryMemory from "./RegistryMemory.ts"
import * as ServiceSpans from "./ServiceSpans.ts"
import { Topics } from "./Topics.ts"
import { recordingTracer } from "../testing/RecordingTracer.ts"

const clientId = ClientId.make("c1")
const pod = PodId.make("gw-1")
const epoch = Epoch.make(1)
const log = Incarnation.make("l")
const record = { key: clientId, value: utf8("{}"), headers: undefined }

/** A tracer that keeps its spans, and their names. */
const recording = () => {
  const { spans, tracer } = recordingTracer()
  return { spans, names: () => spans.map(({ name }) => name), tracer }
}

const services = Layer.mergeAll(
  EventLogMemory.layerMemory({ partitions: 2 }).pipe(Layer.provide(Topics.layerDefault)),
  MailboxMemory.layerMemory(),
  RegistryMemory.layerMemory(),
  PodChannelMemory.layerMemory(),
  AckChannelMemory.layerMemory(),
  ClientOffsetsMemory.layerMemory(),
  ArchiveMemory.layerMemory(),
)

/** The services as a process has them that exports `spans_per_second`. */
const traced = (tracer: Tracer.Tracer, spans_per_second = 1_000) =>
  ServiceSpans.over(services).pipe(
    Layer.provide(Layer.succeed(SpansPerSecond, spans_per_second)),
    Layer.provide(Layer.succeed(Tracer.Tracer, tracer)),
    Layer.fresh,
  )

describe("ServiceSpans", () => {
  it.effect("of each service: what was called, of what, and that it ended", () => {
    const { names, spans, tracer } = recording()
    return Effect.gen(function* () {
      const { events } = yield* Effect.provide(Topics, Topics.layerDefault)
      const eventLog = yield* EventLog
      yield* eventLog.publish(events, 1, [record, record])
      yield* Stream.runHead(eventLog.tail(events, 1, "earliest"))
      const assigned = yield* Stream.runHead(
        Stream.filter(eventLog.subscribe(events, "g"), ({ partition }) => partition === 1).pipe(
          Stream.mapEffect((assigned) =>
            Effect.andThen(Stream.runHead(assigned.read("earliest")), Effect.as(assigned.commit(2), assigned)),
          ),
        ),
      )
      assert.isTrue(Option.isSome(assigned))
      const mailbox = yield* Mailbox
      yield* mailbox.claim({ incarnation: log, partitions: 2, ends: [0, 0] })
      yield* mailbox.put(0, { expected: undefined, next: 1, records: [] })
      yield* mailbox.page(clientId, start, { results: 1, bytes: 1 })
      yield* (yield* Registry).connect(clientId, pod, epoch)
      yield* Stream.runDrain((yield* Registry).entries)
      yield* (yield* PodChannel).publish(pod, [{ _tag: "Mail", clientId }])
      yield* (yield* AckChannel).publish(0, [])
      yield* (yield* ClientOffsets).load({ clientId, epoch, log })
      yield* (yield* Archive).page({
        incarnation: log,
        kind: "results",
        key: clientId,
        after: start,
        limit: { results: 1, bytes: 1 },
      })
      const expected = [
        "EventLog.publish",
        "EventLog.tail",
        "EventLog.read",
        "EventLog.commit",
        "Mailbox.put",
        "Mailbox.page",
        "Registry.connect",
        "Registry.entries",
        "PodChannel.publish",
        "AckChannel.publish",
        "ClientOffsets.load",
        "Archive.page",
      ]
      assert.includeMembers(names(), expected)
      const ended = spans.filter(({ name }) => expected.includes(name))
      assert.isTrue(ended.every(({ status }) => status._tag === "Ended"))
      const publish = spans.find(({ name }) => name === "EventLog.publish")
      assert.deepStrictEqual(Object.fromEntries(publish?.attributes ?? []), {
        "nimbus.topic": events,
        "nimbus.partition": 1,
        "nimbus.records": 2,
      })
    }).pipe(Effect.provide(traced(tracer)))
  })

  it.effect("a call that fails ends its span with the failure", () => {
    const { spans, tracer } = recording()
    const failing = Layer.effect(
      Mailbox,
      Effect.map(Mailbox, (mailbox) => ({
        ...mailbox,
        page: () => Effect.fail(new MailboxUnavailable({ operation: "page", cause: "down" })),
      })),
    ).pipe(Layer.provide(MailboxMemory.layerMemory()))
    return Effect.gen(function* () {
      const exit = yield* Effect.exit((yield* Mailbox).page(clientId, start, { results: 1, bytes: 1 }))
      assert.isTrue(Exit.isFailure(exit))
      const [span] = spans
      assert.strictEqual(span?.status._tag === "Ended" && Exit.isFailure(span.status.exit), true)
    }).pipe(
      Effect.provide(
        ServiceSpans.over(failing).pipe(
          Layer.provide(Layer.succeed(SpansPerSecond, 10)),
          Layer.provide(Layer.succeed(Tracer.Tracer, tracer)),
        ),
      ),
    )
  })

  it.effect(
    "no more calls begin a trace than the budget has room for; one below a sampled span is a part of its trace",
    () => {
      const { names, spans, tracer } = recording()
      return Effect.gen(function* () {
        const { livePods } = yield* Registry
        yield* Effect.forEach([1, 2, 3, 4, 5], () => livePods)
        assert.strictEqual(spans.length, 2)
        yield* TestClock.adjust("1 second")
        yield* Effect.forEach([1, 2, 3, 4, 5], () => livePods)
        assert.strictEqual(spans.length, 4)
        const parent = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
        yield* Effect.withParentSpan(livePods, parent)
        assert.strictEqual(spans.at(-1)?.traceId, parent.traceId)
        yield* Effect.withParentSpan(livePods, Tracer.externalSpan({ ...parent, sampled: false }))
        assert.strictEqual(names().length, 5)
      }).pipe(Effect.provide(traced(tracer, 2)))
    },
  )

  it.effect.each([
    { why: "nobody traces", tracer: Tracer.nativeTracer, spans_per_second: 10 },
    { why: "the budget is 0", tracer: recording().tracer, spans_per_second: 0 },
  ])("leaves the services as they are where $why", ({ spans_per_second, tracer }) =>
    Effect.gen(function* () {
      const mailbox = yield* Mailbox
      const around = yield* Layer.build(ServiceSpans.over(Layer.succeed(Mailbox, mailbox))).pipe(
        Effect.provideService(SpansPerSecond, spans_per_second),
        Effect.provideService(Tracer.Tracer, tracer),
      )
      assert.strictEqual(Context.get(around, Mailbox), mailbox)
    }).pipe(Effect.provide(MailboxMemory.layerMemory())),
  )
})
