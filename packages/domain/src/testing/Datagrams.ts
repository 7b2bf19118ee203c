/** What the suites of the two lossy channels share: numbered publishes, and waiting until one arrives. */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ClientId } from "../protocol/Ids.ts"
import { eventually } from "./Eventually.ts"

/** Some messages have no client. */
interface Message {
  readonly _tag: string
  readonly clientId?: ClientId
}

export const upTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

/** The number of messages in a numbered publish. */
export const publish_messages = 16
/** More numbered publishes than may wait for a subscriber. */
export const overflow_publishes = 10_000

/** A batch whose messages have the number of their publish. */
export const numbered = <A>(n: number, make: (clientId: ClientId) => A): ReadonlyArray<A> => {
  const message = make(ClientId.make(`publish:${n}`))
  return upTo(publish_messages).map(() => message)
}

/** The numbers of the publishes that arrived. An incomplete one fails the test. */
export const wholePublishes = (received: ReadonlyArray<Message>): ReadonlySet<number> => {
  const counts = new Map<number, number>()
  for (const { clientId } of received) {
    if (clientId?.startsWith("publish:") !== true) continue
    const n = Number(clientId.slice("publish:".length))
    counts.set(n, (counts.get(n) ?? 0) + 1)
  }
  for (const [n, count] of counts) assert.strictEqual(count, publish_messages, `publish ${n} came in torn`)
  return new Set(counts.keys())
}

export const clientsOf = (received: ReadonlyArray<Message>): ReadonlySet<string> =>
  new Set(received.flatMap(({ clientId }) => clientId ?? []))

/** Reads until the test ends, and appends to the array that it returns. */
export const collect = Effect.fnUntraced(function* <A, E>(batches: Stream.Stream<ReadonlyArray<A>, E>) {
  const received: Array<A> = []
  yield* Effect.forkScoped(
    Stream.runForEach(batches, (batch) =>
      Effect.sync(() => {
        for (const message of batch) received.push(message)
      }),
    ),
  )
  return received
})

/** Publishes repeatedly until something arrives, because datagrams may be lost. */
export const publishUntil = <A, E, R>(publish: Effect.Effect<A, E, R>, seen: () => boolean) =>
  Effect.suspend(() => {
    let looks = 0
    return eventually(
      "a publish comes in",
      Effect.gen(function* () {
        if (!seen() && looks++ % 25 === 0) yield* publish
        return seen()
      }),
    )
  })
