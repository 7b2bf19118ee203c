/**
 * The result consumer (NimbusGRPC's mail sorter): the shell of `Router`, one for each partition of the results topic.
 *
 * ```
 *   results topic ─ chunk ─▶ ┌────────┐ ─ pushes ──▶ pod channel, in the turn in which the chunk was read
 *   ack channel   ────────▶  │ Router │ ─ spill ───▶ backlog topic, one produce in flight
 *   clock         ─ tick ──▶ └────────┘ ─ commit ──▶ coalesced
 *                  ◀── "received by nobody" ──┘
 * ```
 *
 * It carries out the decisions of the router. In addition:
 * - It diverts the client of a push that had no receiver, or that could not be sent.
 * - It stops reading while more than `shelf_records` wait for the backlog. It also stops while more than
 *   `outstanding_records` were read since the first record that is not done, for example when one backlog write hangs
 *   and all other clients acknowledge.
 * - While many results are in flight to clients, a chunk waits for acks for a bounded time. One client that does not
 *   acknowledge never blocks another, and the router diverts what is in flight beyond its bounds.
 * - The memory of a partition outlives its assignment, and is reused only with its own read position
 *   (`Router.position`). A spill that was in flight is then written again.
 *
 * When it is stopped, it finishes the waiting backlog writes and commits. The next owner repeats what is in flight to
 * clients.
 */
import { Effect, Latch, Layer, Metric, Random, type Scope, Stream } from "effect"
import type { JourneyRecorder } from "@nimbus/domain/observability"
import { Journey, Router, RouterId, Steps } from "@nimbus/domain/protocol"
import {
  AckChannel,
  type AssignedPartition,
  type Chunk,
  EventLog,
  LateSteps,
  PodChannel,
  Topics,
} from "@nimbus/domain/services"
import { type ResultConsumerLimits, resultConsumerLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"
import { quarantine } from "./Quarantine.ts"
import { reportFailure, untilDone } from "./internal/Backoff.ts"
import * as Committer from "./internal/Committer.ts"
import { publishUntilAcknowledged } from "./internal/Publish.ts"
import * as RouterJourney from "./internal/RouterJourney.ts"
import * as Workers from "./internal/Workers.ts"

const role = "result-consumer"

/** The routers, one for each partition that is ours. */
export const layer: Layer.Layer<never, never, EventLog | Topics | PodChannel | AckChannel> = Layer.effectDiscard(
  Effect.suspend(() => run(resultConsumerLimits)),
)

/** The same with other bounds than the defaults. */
export const layerWith = (
  limits: Partial<ResultConsumerLimits>,
): Layer.Layer<never, never, EventLog | Topics | PodChannel | AckChannel> =>
  Layer.effectDiscard(run({ ...resultConsumerLimits, ...limits }))

/** What is kept of a partition from one assignment to the next. */
interface Memory {
  readonly router: Router.State
  /** Not yet acknowledged by the quarantine topic. */
  unreadable: Array<Router.Unreadable>
  /** The router's counts that the metrics have already. */
  readonly reported: Map<keyof Router.State["counts"], number>
}

/** Steps the router, and carries out at once what has not to be waited for; answers everything. */
type StepRouter = (inputs: ReadonlyArray<Router.Input>) => ReadonlyArray<Router.Output>

const run = Effect.fnUntraced(function* (limits: ResultConsumerLimits) {
  const topics = yield* Topics
  const memories = new Map<number, Memory>()
  const late = yield* LateSteps.make({
    late_steps: limits.late_steps,
    chunk: limits.chunk,
    dropped: (records) => Metric.update(Metrics.lateStepsDropped, records),
    written: (records) => Metrics.countOut("journey", records),
    failed: (error) => reportFailure("publish journey", error),
  })
  const memoryOf = Effect.fnUntraced(function* (partition: number) {
    const known = memories.get(partition)
    if (known !== undefined) return known
    const router = Router.make(limits.router, yield* freshRouterId)
    const fresh: Memory = { router, unreadable: [], reported: new Map() }
    memories.set(partition, fresh)
    return fresh
  })
  yield* Workers.run({
    role,
    topic: topics.results,
    limits,
    worker: (partition, stopping) =>
      Effect.flatMap(memoryOf(partition.partition), (memory) => route(memory, partition, stopping, late, limits)).pipe(
        // After a bug the memory may be half changed: begin again from the commit.
        Effect.tapDefect(() => Effect.sync(() => memories.delete(partition.partition))),
      ),
  })
})

/** 53 bits: no two routers of a partition will have the same, and it goes with each push. */
const freshRouterId = Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) =>
  RouterId.make(n.toString(36)),
)

const route = Effect.fnUntraced(function* (
  memory: Memory,
  assigned: AssignedPartition,
  stopping: Latch.Latch,
  late: JourneyRecorder.LateQueue,
  limits: ResultConsumerLimits,
) {
  const { router } = memory
  const { partition } = assigned
  const log = yield* EventLog
  const topics = yield* Topics
  const journey = yield* RouterJourney.make(role, router, partition, late)
  const committer = yield* Committer.make(assigned, limits)
  const acknowledged = Latch.makeUnsafe()
  const caughtUp = Latch.makeUnsafe()
  const steps = yield* Steps

  const step: StepRouter = (inputs) => {
    const outputs: Array<Router.Output> = []
    for (const input of inputs) steps.router(router, input, outputs)
    for (const output of outputs) {
      if (output._tag === "Commit") committer.offer(output.next)
      else if (output._tag === "Quarantine") memory.unreadable.push(output.unreadable)
    }
    if (Router.spillSize(router) > 0) spilling.wake()
    if (router.inflight <= limits.unhurried_results) acknowledged.openUnsafe()
    if (router.outstanding.size <= limits.outstanding_records) caughtUp.openUnsafe()
    return outputs
  }
  const spilling = makeSpilling(router, limits, step, (spill) => {
    const { end, records } = journey.spilled(spill)
    return publishUntilAcknowledged(log, topics.dlq, partition, records, limits).pipe(
      Effect.onExit((exit) => end(exit)),
    )
  })
  const refuse = Effect.gen(function* () {
    if (memory.unreadable.length === 0) return
    yield* quarantine({ topic: topics.results, partition }, memory.unreadable, limits)
    step(memory.unreadable.map((unreadable) => ({ _tag: "Quarantined", unreadable })))
    memory.unreadable = []
  })
  const holdBack = Effect.gen(function* () {
    if (router.inflight > limits.unhurried_results) {
      acknowledged.closeUnsafe()
      yield* Effect.raceFirst(acknowledged.await, Effect.sleep(limits.acks_wait_ms))
    }
    if (Router.spillSize(router) > limits.shelf_records) {
      yield* Effect.raceFirst(spilling.atMost(limits.shelf_records), stopping.await)
    }
    if (router.outstanding.size > limits.outstanding_records) {
      caughtUp.closeUnsafe()
      yield* Effect.raceFirst(caughtUp.await, stopping.await)
    }
  })
  const onChunk = Effect.fnUntraced(function* (chunk: Chunk) {
    yield* publishPushes(step([{ _tag: "Chunk", chunk }]), step, journey, limits)
    yield* Metrics.countIn(role, chunk.records.length)
    yield* refuse
    yield* holdBack
    return true
  })

  yield* Effect.addFinalizer(() => report(memory))
  yield* listen(step, partition, limits)
  yield* Effect.forkScoped(passTime(memory, step, limits))
  yield* Effect.forkScoped(spilling.run, { startImmediately: true })
  yield* refuse
  yield* Workers.forEachChunk(assigned.read(router.position ?? "committed"), stopping, onChunk)
  yield* spilling.atMost(0)
})

/** The way to the backlog, one produce in flight. */
interface Spilling {
  /** There may be something to write. */
  wake(): void
  /** Done once no more than `records` wait or are under way. */
  atMost(records: number): Effect.Effect<void>
  readonly run: Effect.Effect<never>
}

const makeSpilling = (
  router: Router.State,
  limits: ResultConsumerLimits,
  step: StepRouter,
  write: (spill: Router.SpillBatch) => Effect.Effect<void>,
): Spilling => {
  const waiting = Latch.makeUnsafe(true)
  const written = Latch.makeUnsafe()
  const next = Effect.suspend(() => {
    // What was under way when the partition was revoked is written again.
    const spill = router.underWay ?? spillOf(step([{ _tag: "Write", records: limits.chunk.chunk_records }]))
    if (spill === undefined) {
      waiting.closeUnsafe()
      return waiting.await
    }
    return Effect.andThen(write(spill), () => {
      step([{ _tag: "Spilled", spill }])
      written.openUnsafe()
      return Metrics.countOut("dlq", spill.records.length)
    })
  })
  return {
    wake: () => void waiting.openUnsafe(),
    atMost: (records) =>
      Effect.whileLoop({
        while: () => Router.spillSize(router) > records,
        body: () => {
          written.closeUnsafe()
          return written.await
        },
        step: () => {},
      }),
    run: Effect.forever(next),
  }
}

const spillOf = (outputs: ReadonlyArray<Router.Output>): Router.SpillBatch | undefined => {
  for (const output of outputs) if (output._tag === "Spill") return output.spill
  return undefined
}

type Publish = Router.Output & { readonly _tag: "Publish" }

const isPublish = (output: Router.Output): output is Publish => output._tag === "Publish"

/** One publish for each pod; several pods at the same time. A pod's publishes keep the order of the log. */
const publishPushes = Effect.fnUntraced(function* (
  outputs: ReadonlyArray<Router.Output>,
  step: StepRouter,
  journey: RouterJourney.RouterJourney,
  limits: ResultConsumerLimits,
) {
  const publishes = outputs.filter(isPublish)
  if (publishes.length === 0) return
  const channel = yield* PodChannel
  const publishSampled = ({ pod, pushes }: Publish) => {
    const routed = journey.routed(pod, pushes)
    return channel.publish(pod, routed.pushes).pipe(
      Effect.onExit((exit) => routed.end(exit)),
      Effect.tap((received) => Effect.sync(() => received && routed.pushed())),
    )
  }
  const publish = (output: Publish) => {
    const { pod, pushes } = output
    return (Journey.isAnySampled(pushes) ? publishSampled(output) : channel.publish(pod, pushes)).pipe(
      Effect.catch((error) => Effect.as(reportFailure("publish to a pod", error), false)),
      Effect.flatMap((received) => {
        if (!received) step(pushes.map(({ clientId, route }) => ({ _tag: "Unreceived", clientId, route })))
        return Metrics.countOut("pod", pushes.length)
      }),
    )
  }
  yield* Effect.forEach(publishes, publish, { concurrency: limits.pods_at_once, discard: true })
})

/** Acks and nacks, for as long as the scope lives; done once it listens, or has failed to for the first time. */
const listen = Effect.fnUntraced(function* (
  step: StepRouter,
  partition: number,
  limits: ResultConsumerLimits,
): Effect.fn.Return<void, never, AckChannel | Scope.Scope> {
  const channel = yield* AckChannel
  const tried = Latch.makeUnsafe()
  const hear = Effect.gen(function* () {
    const batches = yield* channel.subscribe(partition)
    yield* tried.open
    yield* Stream.runForEach(batches, (batch) => Effect.sync(() => step(batch)))
  }).pipe(
    Effect.scoped,
    Effect.tapError(() => tried.open),
  )
  yield* Effect.forkScoped(untilDone(hear, "subscribe to acks", limits), { startImmediately: true })
  yield* tried.await
})

const passTime = (memory: Memory, step: StepRouter, limits: ResultConsumerLimits): Effect.Effect<never> =>
  Effect.gen(function* () {
    yield* Effect.sleep(limits.tick_ms)
    step([{ _tag: "Tick" }])
    yield* report(memory)
  }).pipe(Effect.forever)

/** Hands what the router has counted since the last time to the metrics. */
const report = Effect.fnUntraced(function* ({ reported, router }: Memory) {
  const since = (key: keyof Router.State["counts"]): number => {
    const n = router.counts[key] - (reported.get(key) ?? 0)
    reported.set(key, router.counts[key])
    return n
  }
  yield* Metric.update(Metrics.repeats, since("repeats"))
  for (const reason of divertReasons) yield* Metrics.countDiverted(reason, since(reason))
})

const divertReasons: ReadonlyArray<Router.DivertReason> = [
  "barrier",
  "nack",
  "unreceived",
  "ack-timeout",
  "client-full",
  "router-full",
]
