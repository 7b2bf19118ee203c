import { assert, describe, it } from "@effect/vitest"
import { Client } from "@nimbus/client"
import { layerFile } from "@nimbus/client/node"
import { eventually } from "@nimbus/domain/testing"
import { Dice } from "@nimbus/domain/testing/dice"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { freePort, startServer, temporaryDirectory } from "./testing/Processes.ts"
import { events, hasShown, isLive, oneTo, show } from "./testing/Squares.ts"

const rounds = 5
const batch = 50
const limits = { reconnect_min_ms: 10, reconnect_max_ms: 50 }

/** A client that sends numbers as fast as they are accepted, in lives that follow each other on one memory in a file. */
const makeLoad = Effect.fnUntraced(function* (clientId: string, url: string) {
  const memory = layerFile(yield* temporaryDirectory)
  const shown: Array<number> = []
  const state = { sent: 0, isSending: true }
  let end: Effect.Effect<unknown, unknown> = Effect.void

  // What a life that has ended left unsettled is sent again by the next, under the same ids.
  const send = (client: Client.Client) =>
    Effect.gen(function* () {
      while (state.isSending) {
        yield* client.sendAll(events(state.sent + 1, state.sent + batch, { hasIds: true }))
        state.sent += batch
      }
    })
  /** A new life, and the end of the one before. */
  const live = Effect.gen(function* () {
    yield* end
    const life = yield* Effect.acquireRelease(Scope.make(), (life) => Scope.close(life, Exit.void))
    const client = yield* Effect.flatMap(Layer.build(memory), (services) =>
      Effect.provideContext(Client.make({ url, clientId, limits }), services),
    ).pipe(Scope.provide(life))
    yield* Effect.forkIn(show(client, shown), life)
    const sending = yield* Effect.forkScoped(Effect.catchTag(send(client), "ClientClosed", () => Effect.void))
    end = Effect.andThen(Scope.close(life, Exit.void), Fiber.join(sending))
    return { client, sending }
  })
  const stop = Effect.sync(() => {
    state.isSending = false
  })
  return { shown, live, stop, sent: () => state.sent }
})

describe("kill -9 of the server under load", () => {
  it.live.each([20261121])(
    "loses, repeats and reorders nothing, with seed %i",
    (seed) =>
      Effect.gen(function* () {
        const dice = new Dice(seed)
        const port = yield* freePort
        const surroundings = { cwd: yield* temporaryDirectory, env: { NIMBUS_HTTP_PORT: `${port}` } }
        const loads = yield* Effect.forEach(["c1", "c2", "c3"], (id) => makeLoad(id, `ws://127.0.0.1:${port}`))
        const lives = yield* Effect.forEach(loads, (load) => load.live)
        for (let round = 0; round < rounds; round++) {
          const server = yield* startServer(surroundings)
          yield* Effect.forEach(lives, ({ client }) => isLive(client))
          const atStart = loads.map((load) => load.sent())
          yield* eventually(
            "all are under load",
            Effect.sync(() => loads.every((load, i) => load.sent() > atStart[i]!)),
          )
          // The moment is what the seed decides; there is no condition to wait for.
          yield* Effect.sleep(dice.below(200))
          const before = loads.map((load) => load.sent())
          yield* server.kill("SIGKILL")
          assert.strictEqual((yield* server.ended).signal, "SIGKILL", String(before))
          const reborn = dice.below(loads.length)
          lives[reborn] = yield* loads[reborn]!.live
        }
        yield* startServer(surroundings)
        yield* Effect.forEach(lives, ({ client }) => isLive(client))
        for (const [i, { sent, shown, stop }] of loads.entries()) {
          yield* stop
          const { client, sending } = lives[i]!
          yield* Fiber.join(sending)
          // What comes after everything else shows that nothing else is to come.
          yield* client.send("sq", { number: sent() + 1 })
          yield* hasShown(shown, sent() + 1)
          yield* isLive(client)
          assert.isAtLeast(sent(), rounds * batch)
          assert.deepStrictEqual(shown, oneTo(sent() + 1), `seed ${seed}, client ${i}`)
        }
      }),
    180_000,
  )
})
