/**
 * A server with locks that is attacked, as `nimbus start` runs it: alice works during all of it, and mail waits for bob.
 *
 * It trusts a proxy on this machine, so that strangers come from an address of their own, by `X-Forwarded-For`.
 */
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Scope } from "effect"
import { adminToken, locked, tokenOf } from "../LockedClients.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "../Processes.ts"
import { connect } from "../RawClient.ts"
import type { Place } from "./Attempt.ts"
import { type Honest, honest, mailOf } from "./Honest.ts"
import { ask } from "./Strangers.ts"

/** Ids that a subject may use anew. */
export const newIds = 20
/** Of one sender. */
export const mailBytes = 200_000
/** Of one address: twenty times as many in a row. */
export const failures_per_s = 1

export class Stage extends Context.Service<
  Stage,
  {
    readonly place: Place
    readonly alice: Honest
    /** `kill -9`, and a start on the same data. */
    readonly killAndStart: Effect.Effect<void>
  }
>()("test/Stage") {
  /** With these settings besides. */
  static readonly layerWith = (settings: Readonly<Record<string, string>>) =>
    Layer.effect(
      Stage,
      Effect.gen(function* () {
        const cwd = yield* temporaryDirectory
        const place = { http: yield* freePort, grpc: yield* freePort }
        const env = {
          ...withoutArchive,
          ...locked,
          NIMBUS_DATA: join(cwd, "data"),
          NIMBUS_HTTP_PORT: `${place.http}`,
          NIMBUS_PORT: `${place.grpc}`,
          NIMBUS_TRUSTED_PROXIES: "loopback",
          NIMBUS_NEW_IDS_PER_SUBJECT: `${newIds}`,
          NIMBUS_MAIL_BYTES_PER_SENDER: `${mailBytes}`,
          NIMBUS_FAILURES_PER_ADDRESS: `${failures_per_s}`,
          ...settings,
        }
        const scope = yield* Effect.scope
        const start = Effect.provideService(startServer({ cwd, env }), Scope.Scope, scope)
        let server = yield* start
        yield* mailFor(place.http)
        return {
          place,
          alice: yield* honest(`ws://127.0.0.1:${place.http}`, "alice"),
          killAndStart: Effect.gen(function* () {
            yield* server.kill("SIGKILL")
            yield* server.ended
            server = yield* start
          }).pipe(Effect.orDie),
        }
      }),
    )
  static readonly layer = Stage.layerWith({})
}

export const owner = { token: adminToken }

/** What waits for bob, who is away: results of his own, and what a server has sent to him. */
export const waiting = [
  ...[1, 2, 3].map((number) => ({ id: `b${number}`, data: { number, result: number ** 2 } })),
  ...[1, 2, 3].map((number) => ({ id: `news${number}`, data: { number } })),
]

const mailFor = Effect.fnUntraced(
  function* (http: number) {
    const bob = yield* connect(http, "ack=client", { headers: { authorization: `Bearer ${tokenOf("bob")}` } })
    for (const number of [1, 2, 3]) {
      bob.send({ type: "event", id: `b${number}`, name: "sq", data: { number } })
    }
    yield* Effect.promise(async () => {
      const news = { token: tokenOf("news", { nimbus: ["publish:bob"] }) }
      for (const number of [1, 2, 3]) {
        const message = { id: `news${number}`, name: "news", data: { number } }
        const { status } = await ask({ http, grpc: 0 }, "/v1/clients/bob/messages", news, message)
        assert.strictEqual(status, 200)
      }
    })
  },
  (effect) => Effect.scoped(effect),
)

export const byId = (all: ReadonlyArray<{ readonly id: string; readonly data: unknown }>) =>
  all.toSorted((one, other) => one.id.localeCompare(other.id))

/** The mail of bob is what it was, and alice has noticed nothing. */
export const harmless = <A, E, R>(attack: (place: Place) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { alice, place } = yield* Stage
    const outcome = yield* alice.unharmedBy(attack(place))
    assert.deepStrictEqual(byId(yield* mailOf(place.http, "bob", waiting.length)), byId(waiting))
    return outcome
  })

/** Whether the server knows anything of it. */
export const isKnown = (place: Place, clientId: string) =>
  Effect.promise(async () => (await ask(place, `/v1/admin/clients/${clientId}`, owner)).status === 200)
