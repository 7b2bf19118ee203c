/** What the suites of the two lossy channels share: publishes that can be told apart, and waiting for one to come in. */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ClientId } from "../protocol/Ids.ts"
import { eventually } from "./Eventually.ts"

/** Some are of no client. */
interface Message {
  readonly _tag: string
  readonly clientId?: ClientId
}

export const upTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

/** Messages in a numbered publish. */
export const publish_messages = 16
/** Numbered publishes that are more than any subscriber may have waiting. */
export const overflow_publishes = 10_000

/** A batch whose messages tell which publish they are of. */
export const numbered = <A>(n: number, make: (clientId: ClientId) => A): ReadonlyArray<A> => {
  const message = make(ClientId.make(`publish:${n}`))
  return upTo(publish_messages).map(() => message)
}

/** Which numbered publishes came in; a torn one fails the test. */
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

/** Reads until the test ends; the array grows. */
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

/** Datagrams may be lost: publishes now and again until something is seen. */
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
