/**
 * The story that every transport is told, on real processes: a client sends and gets its answers; it is cut off and
 * results pile up; it comes back, to another gateway where there is one, gets them first and in order, and is LIVE;
 * then the processes under it are killed while results flow to it, and it comes back again.
 *
 * Everything is numbered from 1 on, so what each connection must show is known: it goes on where the last one ended,
 * without a gap. Only a client that remembers nothing may first see some again, which it had acknowledged just before.
 */
import { assert, layer } from "@effect/vitest"
import { eventually, NeverHappened } from "@nimbus/domain/testing"
import { Context, Effect, type Layer, type Scope } from "effect"
import { type Connected, type TransportClient, transportClients, type Place } from "./TransportClients.ts"

/** What the story is told on: the same for all transports, one after the other. */
export class TestEnvironment extends Context.Service<
  TestEnvironment,
  {
    /** A gateway to connect to: another one than the last time, where there are several. */
    next(): Place
    /** The one that `next` answered last. */
    here(): Place
    /** Each kills, without a word, what the client that is connected now hangs on; done once everything is there again. */
    readonly disasters: ReadonlyArray<Effect.Effect<void, NeverHappened>>
  }
>()("nimbus/testing/Ground") {}

const patience_ms = 60_000
const posted = 1_000
const flood = 20_000

export const transportStory = <E>(name: string, testEnvironment: Layer.Layer<TestEnvironment, E>) =>
  layer(testEnvironment, { excludeTestServices: true, timeout: 120_000 })(name, (it) => {
    for (const transport of transportClients) {
      it.effect(
        `${transport.name}: cut off, away while results pile up, back, and with everything killed under it`,
        () => Effect.flatMap(TestEnvironment, (testEnvironment) => tell(transport, testEnvironment)),
        240_000,
      )
    }
  })

const tell = Effect.fnUntraced(function* (transport: TransportClient, testEnvironment: TestEnvironment["Service"]) {
  const clientId = `story-${transport.name.replaceAll(/\W+/g, "-")}`
  const traveller = new Traveller(transport, clientId)

  yield* traveller.connection(testEnvironment.next(), (client) =>
    Effect.gen(function* () {
      yield* client.isLive
      for (let number = 1; number <= 50; number++) client.square(number)
      yield* traveller.has(client, 50)
      client.cut()
    }),
  )
  yield* post(testEnvironment.here(), clientId, 51, 2_050)
  yield* traveller.connection(testEnvironment.next(), (client) =>
    Effect.gen(function* () {
      yield* traveller.has(client, 2_050)
      yield* client.isLive
      for (let number = 2_051; number <= 2_100; number++) client.square(number)
      yield* traveller.has(client, 2_100)
    }),
  )
  let last = 2_100
  for (const strike of testEnvironment.disasters) {
    const from = last
    last += flood
    yield* traveller.connection(testEnvironment.next(), (client) =>
      Effect.gen(function* () {
        yield* client.isLive
        // So that most of it is still under way when the end comes.
        client.pause()
        yield* post(testEnvironment.here(), clientId, from + 1, last)
        client.resume()
        yield* traveller.has(client, from + 1_000)
        yield* strike
        client.cut()
        yield* client.closed
      }),
    )
  }
  yield* traveller.connection(testEnvironment.next(), (client) =>
    Effect.gen(function* () {
      yield* traveller.has(client, last)
      yield* client.isLive
      client.square(last + 1)
      yield* traveller.has(client, last + 1)
    }),
  )
})

/** One client over all its connections. */
class Traveller {
  private readonly transport: TransportClient
  private readonly clientId: string
  private lastSeq = -1
  /** Everything up to here it has been shown. */
  private shown = 0

  constructor(transport: TransportClient, clientId: string) {
    this.transport = transport
    this.clientId = clientId
  }

  /** One connection: what it showed must go on where the one before ended. */
  connection<E>(
    place: Place,
    use: (client: Connected) => Effect.Effect<void, E, Scope.Scope>,
  ): Effect.Effect<void, E | NeverHappened> {
    return Effect.gen({ self: this }, function* () {
      const client = yield* this.transport.connect(place, this.clientId, this.lastSeq)
      yield* use(client)
      this.check(client.numbers)
      this.lastSeq = client.lastSeq()
    }).pipe(Effect.scoped)
  }

  has(client: Connected, number: number) {
    const shown = () => client.numbers.at(-1) ?? this.shown
    return eventually(
      `${this.transport.name} shows ${number}`,
      Effect.sync(() => shown() >= number),
      patience_ms,
    ).pipe(
      Effect.mapError(
        ({ what, within_ms }) =>
          new NeverHappened({ what: `${what}; it is at ${shown()}, ${client.state()}`, within_ms }),
      ),
    )
  }

  private check(numbers: ReadonlyArray<number>): void {
    const repeats = numbers.findIndex((number) => number > this.shown)
    const fresh = numbers.slice(repeats === -1 ? numbers.length : repeats)
    if (this.transport.remembers) assert.isAtMost(repeats, 0, "a repeat")
    assert.isTrue(isSorted(numbers.slice(0, numbers.length - fresh.length)), "repeats out of order")
    const wrong = fresh.findIndex((number, i) => number !== this.shown + 1 + i)
    const missing = this.shown + 1 + wrong
    const later = fresh.includes(missing) ? "comes later" : "never comes"
    assert.strictEqual(
      wrong,
      -1,
      `${missing} ${later}: in its place is ${fresh[wrong]}, after ${numbers.length} in all`,
    )
    this.shown += fresh.length
  }
}

const isSorted = (numbers: ReadonlyArray<number>) => numbers.every((number, i) => i === 0 || number > numbers[i - 1]!)

/** Messages with these numbers, from another service; done once they are in the log. */
const post = ({ http }: Place, clientId: string, first: number, last: number) =>
  Effect.promise(async () => {
    for (let from = first; from <= last; from += posted) {
      const count = Math.min(posted, last - from + 1)
      const batch = Array.from({ length: count }, (_, i) => ({
        name: "note",
        data: { number: from + i, padding: "x".repeat(200) },
      }))
      const response = await fetch(`http://127.0.0.1:${http}/v1/clients/${clientId}/messages`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(batch),
      })
      if (!response.ok) throw new Error(`messages were answered ${response.status}: ${await response.text()}`)
      await response.text()
    }
  })
