/**
 * Spans of the calls to the services: `Mailbox.put`, `EventLog.publish`, `Registry.connect`, … One wrapper around the
 * contracts makes them for every implementation.
 *
 * ```
 *   gateway, pipeline ─▶ ServiceSpans ─▶ EventLog, Mailbox, Registry, channels, offsets, archive
 *                              └─ a call in the budget, or below a span that is sampled ─▶ span of the `Tracer`
 * ```
 *
 * - A call carries a chunk, so a span never stands for one record. A read has a span for each array that it returns, which
 *   lasts as long as the reader waited for it.
 * - A call below a span that is sampled gets a span. Of the others at most `spans_per_second` get one, which begins a
 *   trace. The span is not the parent of what the implementation does: that may go on in fibers of its own.
 * - Where nobody traces, or the budget is 0, the services are left as they are and a call costs nothing more.
 */
import { Clock, Context, Effect, Layer, Option, Stream, Tracer } from "effect"
import * as Elapsed from "../observability/Elapsed.ts"
import { SpansPerSecond } from "../observability/SpansPerSecond.ts"
import { TokenBucket } from "../pacing/TokenBucket.ts"
import { AckChannel } from "./AckChannel.ts"
import { Archive } from "./Archive.ts"
import { ClientOffsets } from "./ClientOffsets.ts"
import { type AssignedPartition, EventLog } from "./EventLog.ts"
import { Mailbox } from "./Mailbox.ts"
import { PodChannel } from "./PodChannel.ts"
import { Registry } from "./Registry.ts"

type Attributes = Readonly<Record<string, string | number>>

/** Runs a call in a span, if it is to have one. */
type Spanned = <A, E, R>(
  name: string,
  call: Effect.Effect<A, E, R>,
  attributes: () => Attributes,
) => Effect.Effect<A, E, R>

/** `undefined`: nobody traces. */
const makeSpanned = Effect.gen(function* () {
  const per_second = yield* SpansPerSecond
  const tracer = yield* Tracer.Tracer
  if (per_second === 0 || tracer === Tracer.nativeTracer) return undefined
  const clock = yield* Clock.Clock
  const budget = new TokenBucket(per_second, Elapsed.msUnsafe(clock))
  const spanned: Spanned = (name, call, attributes) =>
    Effect.flatMap(Effect.serviceOption(Tracer.ParentSpan), (parent) => {
      const isBelow = Option.isSome(parent) && parent.value.sampled
      if (!isBelow && !budget.take(Elapsed.msUnsafe(clock))) return call
      const span = tracer.span({
        name,
        parent: isBelow ? parent : Option.none(),
        annotations: Context.empty(),
        links: [],
        startTime: clock.currentTimeNanosUnsafe(),
        kind: "client",
        root: !isBelow,
        sampled: true,
      })
      for (const [key, value] of Object.entries(attributes())) span.attribute(`nimbus.${key}`, value)
      return Effect.onExit(call, (exit) => Effect.sync(() => span.end(clock.currentTimeNanosUnsafe(), exit)))
    })
  return spanned
})

/** Wraps the services that come from `services`; those that are not there are left out. */
export const over = <A, E, R>(services: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
  Layer.provideMerge(Layer.effectContext(wrapped), services)

const wrapped = Effect.gen(function* () {
  const spanned = yield* makeSpanned
  const none = Context.empty()
  if (spanned === undefined) return none
  const wrap = <I, S>(service: Context.Key<I, S>, wrapper: (service: S, spanned: Spanned) => S) =>
    Effect.map(Effect.serviceOption(service), (found) =>
      Option.match(found, { onNone: () => none, onSome: (found) => Context.make(service, wrapper(found, spanned)) }),
    )
  return Context.mergeAll(
    yield* wrap(EventLog, ofEventLog),
    yield* wrap(Mailbox, ofMailbox),
    yield* wrap(Registry, ofRegistry),
    yield* wrap(PodChannel, ofPodChannel),
    yield* wrap(AckChannel, ofAckChannel),
    yield* wrap(ClientOffsets, ofClientOffsets),
    yield* wrap(Archive, ofArchive),
  )
})

const ofEventLog = (log: EventLog["Service"], spanned: Spanned): EventLog["Service"] => ({
  partitions: log.partitions,
  incarnation: log.incarnation,
  facts: (topic) => log.facts(topic),
  publish: (topic, partition, records) =>
    spanned("EventLog.publish", log.publish(topic, partition, records), () => ({
      topic,
      partition,
      records: records.length,
    })),
  subscribe: (topic, group) => Stream.map(log.subscribe(topic, group), (assigned) => ofAssigned(assigned, spanned)),
  tail: (topic, partition, position) =>
    eachPull(spanned, "EventLog.tail", log.tail(topic, partition, position), { topic, partition }),
  earliest: (topic, partition) =>
    spanned("EventLog.earliest", log.earliest(topic, partition), () => ({ topic, partition })),
  end: (topic, partition) => spanned("EventLog.end", log.end(topic, partition), () => ({ topic, partition })),
  committed: (topic, group, partition) =>
    spanned("EventLog.committed", log.committed(topic, group, partition), () => ({ topic, group, partition })),
})

const ofAssigned = (assigned: AssignedPartition, spanned: Spanned): AssignedPartition => {
  const { committed, partition, revoked, topic } = assigned
  return {
    topic,
    partition,
    revoked,
    committed: spanned("EventLog.committed", committed, () => ({ topic, partition })),
    read: (position) => eachPull(spanned, "EventLog.read", assigned.read(position), { topic, partition }),
    commit: (next, metadata) =>
      spanned("EventLog.commit", assigned.commit(next, metadata), () => ({ topic, partition, next })),
  }
}

const ofMailbox = (mailbox: Mailbox["Service"], spanned: Spanned): Mailbox["Service"] => ({
  claim: (log) => spanned("Mailbox.claim", mailbox.claim(log), () => ({ partitions: log.partitions })),
  offset: (partition) => spanned("Mailbox.offset", mailbox.offset(partition), () => ({ partition })),
  put: (partition, put) =>
    spanned("Mailbox.put", mailbox.put(partition, put), () => ({ partition, records: put.records.length })),
  page: (clientId, after, limit) =>
    spanned("Mailbox.page", mailbox.page(clientId, after, limit), () => ({ client_id: clientId, after })),
  ack: (acks) => spanned("Mailbox.ack", mailbox.ack(acks), () => ({ clients: acks.length })),
  waiting: (asked, areHere) =>
    spanned("Mailbox.waiting", mailbox.waiting(asked, areHere), () => ({ clients: asked.length })),
  expire: (now_ms) => spanned("Mailbox.expire", mailbox.expire(now_ms), () => ({})),
  stats: (clientId) => spanned("Mailbox.stats", mailbox.stats(clientId), () => ({ client_id: clientId })),
})

const ofRegistry = (registry: Registry["Service"], spanned: Spanned): Registry["Service"] => ({
  connect: (clientId, pod, atLeast, by) =>
    spanned("Registry.connect", registry.connect(clientId, pod, atLeast, by), () => ({ client_id: clientId, pod })),
  write: (presences) => spanned("Registry.write", registry.write(presences), () => ({ clients: presences.length })),
  pods: (clientIds) => spanned("Registry.pods", registry.pods(clientIds), () => ({ clients: clientIds.length })),
  statuses: (clientIds) =>
    spanned("Registry.statuses", registry.statuses(clientIds), () => ({ clients: clientIds.length })),
  forget: (clientIds) => spanned("Registry.forget", registry.forget(clientIds), () => ({ clients: clientIds.length })),
  lease: (pod, ttl_ms) => spanned("Registry.lease", registry.lease(pod, ttl_ms), () => ({ pod })),
  renew: (pod, ttl_ms) => spanned("Registry.renew", registry.renew(pod, ttl_ms), () => ({ pod })),
  release: (pod) => spanned("Registry.release", registry.release(pod), () => ({ pod })),
  livePods: spanned("Registry.livePods", registry.livePods, () => ({})),
  entries: eachPull(spanned, "Registry.entries", registry.entries, {}),
})

const ofPodChannel = (channel: PodChannel["Service"], spanned: Spanned): PodChannel["Service"] => ({
  publish: (pod, messages) =>
    spanned("PodChannel.publish", channel.publish(pod, messages), () => ({ pod, messages: messages.length })),
  subscribe: (pod) => channel.subscribe(pod),
})

const ofAckChannel = (channel: AckChannel["Service"], spanned: Spanned): AckChannel["Service"] => ({
  publish: (partition, messages) =>
    spanned("AckChannel.publish", channel.publish(partition, messages), () => ({
      partition,
      messages: messages.length,
    })),
  subscribe: (partition) => channel.subscribe(partition),
})

const ofClientOffsets = (offsets: ClientOffsets["Service"], spanned: Spanned): ClientOffsets["Service"] => ({
  load: (owner) => spanned("ClientOffsets.load", offsets.load(owner), () => ({ client_id: owner.clientId })),
  save: (facts) => spanned("ClientOffsets.save", offsets.save(facts), () => ({ clients: facts.length })),
})

const ofArchive = (archive: Archive["Service"], spanned: Spanned): Archive["Service"] => ({
  stores: archive.stores,
  position: (source) =>
    spanned("Archive.position", archive.position(source), () => ({ kind: source.kind, partition: source.partition })),
  write: (batch) =>
    spanned("Archive.write", archive.write(batch), () => ({
      kind: batch.source.kind,
      partition: batch.source.partition,
      records: batch.records.length,
    })),
  page: (question) =>
    spanned("Archive.page", archive.page(question), () => ({ kind: question.kind, key: question.key })),
})

/** A span for each array that the stream emits. */
const eachPull = <A, E, R>(
  spanned: Spanned,
  name: string,
  stream: Stream.Stream<A, E, R>,
  attributes: Attributes,
): Stream.Stream<A, E, R> =>
  Stream.transformPull(stream, (pull) => Effect.succeed(spanned(name, pull, () => attributes)))
