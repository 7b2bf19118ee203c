/**
 * The conformance suite of `AckChannel`. Acks may be lost, so the tests publish until something arrives, and then check
 * it.
 */
import { assert } from "@effect/vitest"
import { Arbitrary, Effect, Exit, type Layer, Random, Schema, Scope, Stream } from "effect"
import { AckChannel } from "../services/AckChannel.ts"
import { ClientId, RouteId } from "../protocol/Ids.ts"
import { Ack, type AckMessage, Nack } from "../protocol/Records.ts"
import { clientsOf, collect, numbered, overflow_publishes, publishUntil, upTo, wholePublishes } from "./Datagrams.ts"
import { conformance } from "./Conformance.ts"
import { within } from "./Eventually.ts"

/** The contract of `AckChannel` as tests: call it in a test file with the layer to be tested. */
export const ackChannelSuite = <E>(name: string, channel: Layer.Layer<AckChannel, E>) =>
  conformance(`AckChannel: ${name}`, channel, (it) => {
    it.effect("a publish that nobody listens to is gone, and no error", () =>
      Effect.gen(function* () {
        const channel = yield* AckChannel
        const partition = yield* freshPartition
        yield* channel.publish(partition, [nack("early")])
        const received = yield* subscribe(partition)
        yield* publishUntil(channel.publish(partition, [nack("late")]), () => received.length > 0)
        assert.deepStrictEqual(clientsOf(received), new Set(["late"]))
      }),
    )

    it.effect.prop("what comes in is what was published, whole and unchanged", [messages], ([batch]) =>
      Effect.gen(function* () {
        const channel = yield* AckChannel
        const partition = yield* freshPartition
        const received = yield* subscribe(partition)
        yield* publishUntil(channel.publish(partition, batch), () => received.length > 0)
        assert.deepStrictEqual(received.slice(0, batch.length), batch)
        assert.strictEqual(received.length % batch.length, 0)
      }).pipe(Effect.scoped),
    )

    it.effect("every subscriber of the partition gets it, and no other", () =>
      Effect.gen(function* () {
        const channel = yield* AckChannel
        const [ours, theirs] = [yield* freshPartition, yield* freshPartition]
        const old = yield* subscribe(ours)
        const successor = yield* subscribe(ours)
        const other = yield* subscribe(theirs)
        yield* publishUntil(channel.publish(ours, [nack("ours")]), () => old.length > 0 && successor.length > 0)
        yield* publishUntil(channel.publish(theirs, [nack("theirs")]), () => other.length > 0)
        assert.deepStrictEqual(clientsOf([...old, ...successor]), new Set(["ours"]))
        assert.deepStrictEqual(clientsOf(other), new Set(["theirs"]))
      }),
    )

    it.effect("once a subscription is closed its stream ends, and the others go on", () =>
      Effect.gen(function* () {
        const channel = yield* AckChannel
        const partition = yield* freshPartition
        const scope = yield* Scope.make()
        const batches = yield* Scope.provide(channel.subscribe(partition), scope)
        const other = yield* subscribe(partition)
        yield* Scope.close(scope, Exit.void)
        yield* Stream.runDrain(batches).pipe(within("the end of a stream whose subscription is closed"))
        yield* publishUntil(channel.publish(partition, [nack("a")]), () => other.length > 0)
      }),
    )

    it.effect("a subscriber that falls behind loses whole publishes and holds up nobody", () =>
      Effect.gen(function* () {
        const channel = yield* AckChannel
        const partition = yield* freshPartition
        const behind = yield* channel.subscribe(partition)
        const keepsUp = yield* subscribe(partition)
        yield* Effect.forEach(upTo(overflow_publishes), (n) => channel.publish(partition, numbered(n, toNack)), {
          discard: true,
        })
        const end = channel.publish(partition, [nack("end")])
        yield* publishUntil(end, () => clientsOf(keepsUp).has("end"))
        const received = yield* collect(behind)
        yield* publishUntil(end, () => clientsOf(received).has("end"))
        assert.isAbove(wholePublishes(received).size, 0)
        assert.isAbove(wholePublishes(keepsUp).size, 0)
      }),
    )

    it.effect("racing publishers do not tear each other's publishes", () =>
      Effect.gen(function* () {
        const channel = yield* AckChannel
        const partition = yield* freshPartition
        const received = yield* subscribe(partition)
        yield* Effect.forEach(upTo(200), (n) => channel.publish(partition, numbered(n, toNack)), {
          concurrency: "unbounded",
          discard: true,
        })
        yield* publishUntil(channel.publish(partition, [nack("end")]), () => clientsOf(received).has("end"))
        assert.isAbove(wholePublishes(received).size, 0)
      }),
    )
  })

const toNack = (clientId: ClientId): AckMessage => Nack.make({ clientId, route: RouteId.make("r.1") })
const nack = (client: string): AckMessage => toNack(ClientId.make(client))

/** Far above any partition count, so that no earlier test publishes there. */
const freshPartition = Random.nextIntBetween(1_000_000, 2 ** 31)

const subscribe = Effect.fnUntraced(function* (partition: number) {
  return yield* collect(yield* (yield* AckChannel).subscribe(partition))
})

const messages = Arbitrary.array(Arbitrary.schema(Schema.Union([Ack, Nack])), { minLength: 1 })
