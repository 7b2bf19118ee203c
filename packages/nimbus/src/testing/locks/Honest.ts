/** A client that does nothing but its work while others attack: what it must not notice of that. */
import { assert } from "@effect/vitest"
import { Client, Memory } from "@nimbus/client"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { tokenOf } from "../LockedClients.ts"
import { connect } from "../RawClient.ts"
import { hasShown, isLive, oneTo, sendNumbers, show } from "../Squares.ts"

/** Numbers that it sends before it waits for their squares. */
const batch = 5

export interface Honest {
  /** Works as long as this lasts, and was then shown each of its results once, in order, on the connection that it had. */
  unharmedBy<A, E, R>(attack: Effect.Effect<A, E, R>): Effect.Effect<A, unknown, R>
  /** The same, where its connection may break. */
  servedDespite<A, E, R>(attack: Effect.Effect<A, E, R>): Effect.Effect<A, unknown, R>
}

/** One that is connected as long as the scope lives. */
export const honest = Effect.fnUntraced(function* (url: string, clientId: string) {
  const client = yield* Client.make({ url, clientId, token: () => Promise.resolve(tokenOf(clientId)) }).pipe(
    Effect.provide(Memory.layerMemory, { local: true }),
  )
  const shown: Array<number> = []
  let sent = 0
  yield* Effect.forkScoped(show(client, shown))
  yield* isLive(client)

  const step = Effect.gen(function* () {
    yield* sendNumbers(client, sent + 1, sent + batch)
    sent += batch
    yield* hasShown(shown, sent)
  })
  const servedDespite: Honest["servedDespite"] = (attack) =>
    Effect.gen(function* () {
      const attacked = { isOver: false }
      const work = Effect.gen(function* () {
        yield* step
        while (!attacked.isOver) yield* step
        yield* step
      })
      const ends = Effect.tap(Effect.exit(attack), () => Effect.sync(() => (attacked.isOver = true)))
      // Whatever comes of the attack, the work is finished.
      const [outcome] = yield* Effect.all([ends, work], { concurrency: 2 })
      assert.deepStrictEqual(shown, oneTo(sent))
      return yield* outcome
    })
  return {
    servedDespite,
    unharmedBy: (attack) =>
      Effect.gen(function* () {
        const before = yield* client.stats
        const outcome = yield* servedDespite(attack)
        assert.strictEqual((yield* client.stats).connections, before.connections)
        return outcome
      }),
  } satisfies Honest as Honest
})

/** Results of a client that are not acknowledged, in order: it comes, looks, and goes. */
export const mailOf = (port: number, clientId: string, count: number) =>
  Effect.gen(function* () {
    const headers = { authorization: `Bearer ${tokenOf(clientId)}` }
    const client = yield* connect(port, "ack=client", { headers })
    yield* eventually(
      `${count} results of ${clientId}`,
      Effect.sync(() => client.results().length >= count),
    )
    return client.results().map(({ data, id }) => ({ data, id }))
  }).pipe(Effect.scoped)
