/**
 * The conformance suite of `PodChannel`. Datagrams may be lost, so the tests publish until something arrives, and then
 * check it.
 */
import { assert } from "@effect/vitest"
import { Arbitrary, Effect, Exit, type Layer, Option, Random, Schema, Scope, Stream } from "effect"
import { ClientId, PodId, RouteId } from "../protocol/Ids.ts"
import { PodChannel } from "../services/PodChannel.ts"
import { Drain, encodeResult, Kick, MailboxHint, type PodMessage, type Push, Result } from "../protocol/Records.ts"
import { clientsOf, collect, numbered, overflow_publishes, publishUntil, upTo, wholePublishes } from "./Datagrams.ts"
import { conformance } from "./Conformance.ts"
import { eventually, within } from "./Eventually.ts"

/** The contract of `PodChannel` as tests: call it in a test file with the layer to be tested. */
export const podChannelSuite = <E>(name: string, channel: Layer.Layer<PodChannel, E>) =>
  conformance(`PodChannel: ${name}`, channel, (it) => {
    it.effect("a publish to a pod that nobody is subscribed to answers false", () =>
      Effect.gen(function* () {
        const channel = yield* PodChannel
        assert.isFalse(yield* channel.publish(yield* freshPod, [mail("a")]))
      }),
    )

    it.effect.prop("what comes in is what was published, whole and unchanged", [messages], ([batch]) =>
      Effect.gen(function* () {
        const channel = yield* PodChannel
        const pod = yield* freshPod
        const received = yield* subscribe(pod)
        yield* publishUntil(channel.publish(pod, batch), () => received.length > 0)
        assert.deepStrictEqual(received.slice(0, batch.length), batch)
        assert.strictEqual(received.length % batch.length, 0)
      }).pipe(Effect.scoped),
    )

    it.effect("from the moment a subscription is done publishes reach it, also while it is not read", () =>
      Effect.gen(function* () {
        const channel = yield* PodChannel
        const pod = yield* freshPod
        const batches = yield* channel.subscribe(pod)
        yield* eventually("a publish answers true", channel.publish(pod, [mail("early")]))
        const first = yield* Stream.runHead(batches).pipe(within("a message of a publish that answered true"))
        assert.deepStrictEqual(Option.getOrThrow(first)[0], mail("early"))
      }),
    )

    it.effect("a pod gets only its own messages", () =>
      Effect.gen(function* () {
        const channel = yield* PodChannel
        const [here, there] = [yield* freshPod, yield* freshPod]
        const receivedHere = yield* subscribe(here)
        const receivedThere = yield* subscribe(there)
        yield* publishUntil(channel.publish(here, [mail("here")]), () => receivedHere.length > 0)
        yield* publishUntil(channel.publish(there, [mail("there")]), () => receivedThere.length > 0)
        assert.deepStrictEqual(clientsOf(receivedHere), new Set(["here"]))
        assert.deepStrictEqual(clientsOf(receivedThere), new Set(["there"]))
      }),
    )

    it.effect("once the subscription is closed its stream ends and publishes answer false", () =>
      Effect.gen(function* () {
        const channel = yield* PodChannel
        const pod = yield* freshPod
        const scope = yield* Scope.make()
        const batches = yield* Scope.provide(channel.subscribe(pod), scope)
        yield* Scope.close(scope, Exit.void)
        yield* Stream.runDrain(batches).pipe(within("the end of a stream whose subscription is closed"))
        const gone = Effect.map(channel.publish(pod, [mail("late")]), (received) => !received)
        yield* eventually("a publish answers false", gone)
      }),
    )

    it.effect("a subscriber that falls behind loses whole publishes, those that answered false among them", () =>
      Effect.gen(function* () {
        const channel = yield* PodChannel
        const pod = yield* freshPod
        const batches = yield* channel.subscribe(pod)
        const answers = yield* Effect.forEach(upTo(overflow_publishes), (n) =>
          channel.publish(pod, numbered(n, toMailboxHint)),
        )
        const received = yield* collect(batches)
        yield* publishUntil(channel.publish(pod, [mail("end")]), () => clientsOf(received).has("end"))
        const whole = wholePublishes(received)
        const liars = answers.flatMap((answer, n) => (!answer && whole.has(n) ? [n] : []))
        assert.deepStrictEqual(liars, [], "publishes that answered false and came in")
      }),
    )

    it.effect("racing publishers do not tear each other's publishes", () =>
      Effect.gen(function* () {
        const channel = yield* PodChannel
        const pod = yield* freshPod
        const received = yield* subscribe(pod)
        yield* Effect.forEach(upTo(200), (n) => channel.publish(pod, numbered(n, toMailboxHint)), {
          concurrency: "unbounded",
          discard: true,
        })
        yield* publishUntil(channel.publish(pod, [mail("end")]), () => clientsOf(received).has("end"))
        assert.isAbove(wholePublishes(received).size, 0)
      }),
    )
  })

const toMailboxHint = (clientId: ClientId): PodMessage => MailboxHint.make({ clientId })
const mail = (client: string): PodMessage => toMailboxHint(ClientId.make(client))

const freshPod = Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) => PodId.make(`suite-${n}`))

const subscribe = Effect.fnUntraced(function* (pod: PodId) {
  return yield* collect(yield* (yield* PodChannel).subscribe(pod))
})

const pushes: Arbitrary.Arbitrary<PodMessage> = Arbitrary.map(
  Arbitrary.all([Arbitrary.schema(ClientId), Arbitrary.schema(Result)]),
  ([clientId, result]): Push => ({
    _tag: "Push",
    clientId,
    route: RouteId.make(`${result.seq}.1`),
    prev: result.seq,
    seq: result.seq,
    value: encodeResult(result),
    ...(result.error === undefined ? {} : { headers: { "nimbus-journey": "[]" } }),
  }),
)

const others = Schema.Union([MailboxHint, Kick, Drain])

/** One or more messages of every kind. */
const messages: Arbitrary.Arbitrary<ReadonlyArray<PodMessage>> = Arbitrary.map(
  Arbitrary.all([Arbitrary.array(pushes), Arbitrary.array(Arbitrary.schema(others), { minLength: 1 })]),
  ([some, others]) => [...some, ...others],
)
