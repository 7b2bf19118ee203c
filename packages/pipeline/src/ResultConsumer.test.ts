import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Result, Stream } from "effect"
import { ChannelUnavailable } from "@nimbus/domain/errors"
import { routerLimits } from "@nimbus/domain/limits"
import { type AckMessage, decodePlacedBarrier, Journey, type PodMessage, type Push, Seq } from "@nimbus/domain/protocol"
import { AckChannel, EventLog, PodChannel, Topics } from "@nimbus/domain/services"
import type { ResultConsumerLimits } from "./Limits.ts"
import * as Quarantine from "./Quarantine.ts"
import * as ResultConsumer from "./ResultConsumer.ts"
import {
  append,
  assign,
  client,
  contents,
  counts,
  down,
  eventually,
  hasRecords,
  Hooks,
  inTestEnvironment,
  placedBarrier,
  pod,
  raw,
  result,
  settle,
  start,
  textOf,
} from "./testing/TestEnvironment.ts"
import { quickLimits } from "./testing/Limits.ts"

const soon: Partial<ResultConsumerLimits> = {
  ...quickLimits,
  tick_ms: 5,
  router: { ...routerLimits, ack_timeout_ticks: 1_000_000 },
}

const startWith = (limits: Partial<ResultConsumerLimits> = {}) =>
  start(ResultConsumer.layerWith({ ...soon, ...limits }))

/** The pushes that a pod receives from now on. */
const receives = Effect.fnUntraced(function* (note: (push: Push) => void) {
  const batches = yield* (yield* PodChannel).subscribe(pod)
  const noteIf = (message: PodMessage) => {
    if (message._tag === "Push") note(message)
  }
  yield* Effect.forkScoped(Stream.runForEach(batches, (batch) => Effect.sync(() => batch.forEach(noteIf))))
})

/** The same as `client seq<prev`. */
const received = Effect.gen(function* () {
  const pushes: Array<string> = []
  yield* receives(({ clientId, prev, seq }) => pushes.push(`${clientId} ${seq}<${prev}`))
  return pushes
})

const tell = Effect.fnUntraced(function* (...messages: ReadonlyArray<AckMessage>) {
  yield* (yield* AckChannel).publish(0, messages)
})
const ack = (clientId: string, seq: number): AckMessage => ({
  _tag: "Ack",
  clientId: client(clientId),
  seq: Seq.make(seq),
})

/** What the backlog holds, as `client seq`. */
const spilled = Effect.fnUntraced(function* (n: number) {
  const records = yield* hasRecords((yield* Topics).dlq, n)
  return records.map((record) => `${record.key} ${JSON.parse(textOf(record)).seq}`)
})

const committedIs = Effect.fnUntraced(function* (next: number) {
  const log = yield* EventLog
  const { results } = yield* Topics
  yield* eventually(
    `a commit of ${next}`,
    Effect.map(log.committed(results, "nimbus-result-consumer", 0), (committed) => committed?.next === next),
  )
})

describe("ResultConsumer", () => {
  it.live("spills the results of a client that has no route, in order", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      yield* startWith()
      yield* append(results, result("a", 0), result("b", 1), result("a", 2))
      assert.deepStrictEqual(yield* spilled(3), ["a 0", "b 1", "a 2"])
      yield* committedIs(3)
    }).pipe(inTestEnvironment()),
  )

  it.live("pushes what follows a barrier to its pod, each saying what came before", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const pushes = yield* received
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1), result("b", 2), result("a", 3))
      yield* eventually("two pushes", () => pushes.length === 2)
      assert.deepStrictEqual(pushes, ["a 1<0", "a 3<1"])
      assert.deepStrictEqual(yield* spilled(2), ["a 0", "b 2"])
    }).pipe(inTestEnvironment()),
  )

  it.live("commits the offset after the last record that is done, and that only when the client has acknowledged", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const pushes = yield* received
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1), result("a", 2))
      yield* eventually("two pushes", () => pushes.length === 2)
      yield* committedIs(1)
      yield* tell(ack("a", 2))
      yield* committedIs(3)
      assert.deepStrictEqual(yield* spilled(1), ["a 0"])
    }).pipe(inTestEnvironment()),
  )

  it.live("diverts a client whose push nobody received", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1), result("a", 2))
      assert.deepStrictEqual(yield* spilled(3), ["a 0", "a 1", "a 2"])
      yield* append(results, result("a", 3))
      assert.deepStrictEqual(yield* spilled(4), ["a 0", "a 1", "a 2", "a 3"])
    }).pipe(inTestEnvironment()),
  )

  it.live("diverts a client that does not acknowledge in time, without what it has acknowledged", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const pushes = yield* received
      yield* startWith({ router: { ...routerLimits, ack_timeout_ticks: 40 } })
      yield* append(results, placedBarrier("a", 0), result("a", 1), result("a", 2))
      yield* eventually("two pushes", () => pushes.length === 2)
      yield* tell(ack("a", 1))
      assert.deepStrictEqual(yield* spilled(2), ["a 0", "a 2"])
      yield* committedIs(3)
    }).pipe(inTestEnvironment()),
  )

  it.live("diverts a client that its gateway can't take pushes for", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const pushes: Array<Push> = []
      yield* receives((push) => pushes.push(push))
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1))
      yield* eventually("a push", () => pushes.length === 1)
      const { clientId, route } = pushes[0]!
      yield* tell({ _tag: "Nack", clientId, route })
      const [barrier, ...rest] = yield* hasRecords(dlq, 2)
      // The barrier in the backlog names the route that it made.
      assert.strictEqual(Result.getOrThrow(decodePlacedBarrier(barrier!.value)).barrier.route, route)
      assert.deepStrictEqual(rest.map(textOf), [textOf(result("a", 1))])
    }).pipe(inTestEnvironment()),
  )

  it.live("quarantines what it can't read, with the reason, and commits past it", () =>
    Effect.gen(function* () {
      const { quarantine, results } = yield* Topics
      yield* startWith()
      yield* append(results, result("a", 0), raw("a", "not ours"), raw("b", `{"seq":5,"barrier":{}}`), result("a", 6))
      const [first, second] = yield* hasRecords(quarantine, 2)
      assert.strictEqual(textOf(first), "not ours")
      assert.strictEqual(first?.headers?.[Quarantine.headers.reason], "no seq at the start of the record")
      assert.strictEqual(first?.headers?.[Quarantine.headers.topic], results)
      assert.strictEqual(first?.headers?.[Quarantine.headers.offset], "1")
      assert.include(second?.headers?.[Quarantine.headers.reason], "epoch")
      assert.deepStrictEqual(yield* spilled(2), ["a 0", "a 6"])
      yield* committedIs(4)
    }).pipe(inTestEnvironment()),
  )

  it.live("writes to the backlog again until it is acknowledged, one request at a time and in order", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const hooks = yield* Hooks
      let failures = 0
      let atOnce = 0
      let most = 0
      hooks.publishing = (topic) =>
        topic !== dlq
          ? Effect.void
          : Effect.suspend(() => {
              most = Math.max(most, ++atOnce)
              const fails = ++failures <= 3
              return Effect.sleep(1).pipe(
                Effect.andThen(fails ? Effect.fail(down(dlq)) : Effect.void),
                Effect.ensuring(Effect.sync(() => atOnce--)),
              )
            })
      yield* startWith({ chunk: { chunk_records: 2, chunk_bytes: 1_000 } })
      yield* append(results, result("a", 0), result("b", 1), result("a", 2), result("b", 3), result("a", 4))
      assert.deepStrictEqual(yield* spilled(5), ["a 0", "b 1", "a 2", "b 3", "a 4"])
      assert.strictEqual(most, 1)
      assert.isAbove(failures, 3)
    }).pipe(inTestEnvironment()),
  )

  it.live("reads no further while the backlog is slow, and goes on when it is not", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const hooks = yield* Hooks
      const open = yield* Deferred.make<void>()
      let read = 0
      hooks.publishing = (topic) => (topic === dlq ? Deferred.await(open) : Effect.void)
      hooks.read = (topic, chunk) => Effect.sync(() => void (topic === results && (read += chunk.records.length)))
      for (let seq = 0; seq < 500; seq++) yield* append(results, result("a", seq))
      yield* startWith({ shelf_records: 20 })
      yield* eventually("more than the bound is read", () => read > 20)
      yield* settle
      assert.isAtMost(read, 40)
      yield* Deferred.succeed(open, undefined)
      assert.lengthOf(yield* spilled(500), 500)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 10 } })),
  )

  it.live("reads no further than its bound beyond a record that the backlog does not take, whoever acknowledges", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const hooks = yield* Hooks
      const taken = yield* Deferred.make<void>()
      hooks.publishing = (topic) => (topic === dlq ? Deferred.await(taken) : Effect.void)
      const acks = yield* AckChannel
      let pushed = 0
      const pods = yield* (yield* PodChannel).subscribe(pod)
      const acknowledge = (batch: ReadonlyArray<PodMessage>) => {
        const pushes = batch.filter((message) => message._tag === "Push")
        pushed += pushes.length
        return acks.publish(
          0,
          pushes.map(({ clientId, seq }) => ack(clientId, seq)),
        )
      }
      yield* Effect.forkScoped(Stream.runForEach(pods, acknowledge))
      yield* append(results, placedBarrier("a", 0))
      for (let seq = 1; seq < 100; seq++) yield* append(results, result("a", seq))
      yield* startWith({ outstanding_records: 20 })
      yield* eventually("more than the bound is pushed", () => pushed > 20)
      yield* settle
      assert.isAtMost(pushed, 30)
      yield* Deferred.succeed(taken, undefined)
      yield* eventually("the rest", () => pushed === 99)
      yield* committedIs(100)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 10 } })),
  )

  it.live("does not flood a gateway: with much in flight a chunk waits for acks", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const pushes = yield* received
      yield* append(results, placedBarrier("a", 0))
      for (let seq = 1; seq < 100; seq++) yield* append(results, result("a", seq))
      yield* startWith({ unhurried_results: 20, acks_wait_ms: 60_000 })
      yield* eventually("more than the bound is pushed", () => pushes.length > 20)
      yield* settle
      assert.isAtMost(pushes.length, 30)
      for (let seq = 20; seq < 100; seq += 5) yield* Effect.andThen(tell(ack("a", seq)), settle)
      yield* eventually("the rest", () => pushes.length === 99)
      assert.lengthOf(yield* contents(dlq), 1)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 10 } })),
  )

  it.live("with much in flight and no acks at all it goes on, slowly", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const pushes = yield* received
      yield* append(results, placedBarrier("a", 0))
      for (let seq = 1; seq < 100; seq++) yield* append(results, result("a", seq))
      yield* startWith({ unhurried_results: 20, acks_wait_ms: 1 })
      yield* eventually("all are pushed", () => pushes.length === 99)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 10 } })),
  )

  it.live("counts what it reads, pushes, spills, diverts and drops", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const pushes = yield* received
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1), result("a", 1), result("b", 2))
      yield* eventually("a push", () => pushes.length === 1)
      yield* tell({ _tag: "Nack", clientId: client("a") })
      yield* spilled(3)
      yield* eventually(
        "the counts",
        Effect.map(
          counts,
          (now) =>
            now["nimbus_pipeline_records_in_total result-consumer"] === 4 &&
            now["nimbus_pipeline_records_out_total pod"] === 1 &&
            now["nimbus_pipeline_records_out_total dlq"] === 3 &&
            now["nimbus_router_diverted_total nack"] === 1 &&
            now["nimbus_router_repeats_total "] === 1,
        ),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("goes on reading while one client does not acknowledge", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const pushes = yield* received
      yield* startWith({ router: { ...soon.router!, inflight_results: 3 } })
      yield* append(results, placedBarrier("a", 0), placedBarrier("b", 1))
      yield* append(results, result("a", 2), result("a", 3), result("a", 4), result("b", 5))
      yield* eventually("b's push", () => pushes.includes("b 5<1"))
      assert.deepStrictEqual(yield* spilled(5), ["a 0", "b 1", "a 2", "a 3", "a 4"])
    }).pipe(inTestEnvironment()),
  )

  it.live("starts again after a failed read where it was, with its memory", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const hooks = yield* Hooks
      const pushes = yield* received
      let fail = true
      hooks.read = (topic, chunk) =>
        topic === results && fail && chunk.from > 0
          ? Effect.andThen(
              Effect.sync(() => (fail = false)),
              Effect.fail(down(topic)),
            )
          : Effect.void
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1))
      yield* eventually("a push", () => pushes.length === 1)
      yield* append(results, result("a", 2))
      yield* eventually("the next push", () => pushes.length === 2)
      assert.deepStrictEqual(pushes, ["a 1<0", "a 2<1"])
      assert.isFalse(fail)
    }).pipe(inTestEnvironment()),
  )

  it.live(
    "a new owner begins behind the last record that was done and spills the rest, whatever the old one had pushed",
    () =>
      Effect.gen(function* () {
        const { results } = yield* Topics
        const pushes = yield* received
        const first = yield* startWith()
        yield* append(results, placedBarrier("a", 0), result("a", 1), result("a", 2))
        yield* eventually("two pushes", () => pushes.length === 2)
        yield* tell(ack("a", 1))
        yield* committedIs(2)
        yield* first.stop
        yield* startWith()
        assert.deepStrictEqual(yield* spilled(2), ["a 0", "a 2"])
        assert.lengthOf(pushes, 2)
      }).pipe(inTestEnvironment()),
  )

  it.live("a partition that comes back goes on with its memory at its own read position, not at the commit", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const pushes = yield* received
      const before = yield* assign(results, undefined)
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1))
      yield* eventually("a push", () => pushes.length === 1)
      yield* before.revoke
      yield* append(results, result("a", 2), result("a", 3))
      // Meanwhile another owner has committed further than this one has read.
      const after = yield* assign(results, 3)
      yield* eventually("the pushes of what came meanwhile", () => pushes.length === 3)
      assert.deepStrictEqual(pushes, ["a 1<0", "a 2<1", "a 3<2"])
      assert.deepStrictEqual(before.positions, ["committed"])
      assert.deepStrictEqual(after.positions, [2])
    }).pipe(inTestEnvironment()),
  )

  it.live("writes again what was under way to the backlog when the partition was revoked", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const hooks = yield* Hooks
      let under_way = 0
      hooks.publishing = (topic) =>
        topic !== dlq
          ? Effect.void
          : Effect.andThen(
              Effect.sync(() => void under_way++),
              Effect.never,
            )
      const before = yield* assign(results, undefined)
      yield* startWith()
      yield* append(results, result("a", 0), result("a", 1))
      yield* eventually("a backlog write is under way", () => under_way === 1)
      yield* before.revoke
      hooks.publishing = () => Effect.void
      const after = yield* assign(results, undefined)
      assert.deepStrictEqual(yield* spilled(2), ["a 0", "a 1"])
      assert.deepStrictEqual(after.positions, [2])
    }).pipe(inTestEnvironment()),
  )

  it.live("stopped, it finishes what waits for the backlog and commits it", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const hooks = yield* Hooks
      const begun = yield* Deferred.make<void>()
      hooks.publishing = (topic) =>
        topic === dlq ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.sleep(20)) : Effect.void
      const role = yield* startWith()
      yield* append(results, result("a", 0), result("a", 1))
      yield* Deferred.await(begun)
      yield* role.stop
      assert.lengthOf(yield* contents(dlq), 2)
      yield* committedIs(2)
    }).pipe(inTestEnvironment()),
  )

  it.live("stopped, it does not wait for ever for a backlog that does not answer", () =>
    Effect.gen(function* () {
      const { dlq, results } = yield* Topics
      const hooks = yield* Hooks
      const begun = yield* Deferred.make<void>()
      hooks.publishing = (topic) =>
        topic === dlq ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) : Effect.void
      const role = yield* startWith({ shutdown_timeout_ms: 30 })
      yield* append(results, result("a", 0))
      yield* Deferred.await(begun)
      yield* role.stop.pipe(Effect.timeout("30 seconds"))
      assert.lengthOf(yield* contents(dlq), 0)
    }).pipe(inTestEnvironment()),
  )

  it.live("a failing pod channel is the same as nobody there", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      yield* startWith()
      yield* append(results, placedBarrier("a", 0), result("a", 1))
      assert.deepStrictEqual(yield* spilled(2), ["a 0", "a 1"])
    }).pipe(withoutPods, inTestEnvironment()),
  )

  it.live("tells the journey of what is sampled: routed and pushed, diverted or spilled", () =>
    Effect.gen(function* () {
      const { dlq, journey, results } = yield* Topics
      const pushes: Array<Push> = []
      yield* receives((push) => pushes.push(push))
      yield* startWith()
      const sampled = { ...result("a", 1), headers: Journey.sample(accepted) }
      yield* append(results, placedBarrier("a", 0), sampled, result("a", 2), {
        ...result("b", 3),
        headers: Journey.sample(accepted),
      })
      yield* eventually("two pushes", () => pushes.length === 2)
      const [late] = yield* hasRecords(journey, 1)
      assert.include(textOf(late), `"clientId":"a","seq":1`)
      assert.include(textOf(late), `"step":"pushed"`)
      const [, routed] = Journey.steps(pushes[0]?.headers)
      assert.deepStrictEqual(routed?.details, {
        rule: Journey.rules.routed,
        pod: "pod-1",
        prev: "0",
        topic: results,
        partition: "0",
      })
      yield* tell({ _tag: "Nack", clientId: client("a") })
      const steps = (yield* hasRecords(dlq, 4)).map(({ headers }) => Journey.steps(headers).slice(1))
      const [[spilled], [diverted]] = [steps[1]!, steps[2]!]
      assert.deepStrictEqual(
        steps.map((steps) => steps.map(({ step }) => step)),
        [[], ["shelved"], ["diverted"], []],
      )
      const at = { topic: results, partition: "0" }
      assert.deepStrictEqual(spilled?.details, { rule: Journey.rules.shelved, offset: "3", ...at })
      assert.deepStrictEqual(diverted?.details, {
        rule: Journey.rules.diverted.nack,
        reason: "nack",
        offset: "1",
        ...at,
      })
    }).pipe(inTestEnvironment()),
  )
})

const accepted: Journey.JourneyStep = { time: 1, service: "gateway", instance: "pod-1", step: "accepted" }
const withoutPods = Effect.provide(
  Layer.effect(
    PodChannel,
    Effect.map(PodChannel, (channel) => ({ ...channel, publish: () => Effect.fail(channelDown) })),
  ),
)
const channelDown = new ChannelUnavailable({ channel: "pod-1", cause: "told to fail" })
