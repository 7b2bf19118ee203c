import { assert, describe, it } from "@effect/vitest"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import { Client, type Delivery, Memory, Transport } from "@nimbus/client"
import { mailboxLimits } from "@nimbus/domain/limits"
import { ClientId } from "@nimbus/domain/protocol"
import { Handlers, Mailbox, Publisher } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import * as Connection from "./demo/Connection.ts"
import * as Nimbus from "./Nimbus.ts"
import { isLive } from "./testing/Squares.ts"
import { temporaryDirectory } from "./testing/Processes.ts"

/** Nimbus on LMDB whose mailboxes keep so many results. */
const nimbus = (mailbox_results: number) =>
  Layer.unwrap(
    Effect.map(temporaryDirectory, (directory) => {
      const mailboxes = LmdbMailbox.layerWith({ limits: { ...mailboxLimits, mailbox_results } })
      const stores = Layer.mergeAll(LmdbEventLog.layer, mailboxes).pipe(
        Layer.provide(LmdbStore.layerWith({ directory })),
      )
      return Publisher.layer.pipe(
        Layer.provideMerge(Nimbus.layerAt({ host: "127.0.0.1", port: 0 }, stores)),
        Layer.provide(Handlers.layer(Handlers.samples)),
        Layer.provideMerge(Memory.layerMemory),
      )
    }),
  )

const c1 = ClientId.make("c1")

describe("retention of mailboxes", () => {
  it.live("a client whose mailbox was full is told what is lost, and then gets the rest", () =>
    Effect.gen(function* () {
      const { sendAll } = yield* Publisher
      const notes = (first: number, count: number) =>
        sendAll(Array.from({ length: count }, (_, i) => ({ clientId: c1, name: "note", data: first + i })))
      const connection = Connection.make()
      const client = yield* Client.make({
        url: yield* Nimbus.url,
        clientId: c1,
        limits: { reconnect_min_ms: 5, reconnect_max_ms: 20 },
      }).pipe(Effect.provideService(Transport.Transport, connection.transport))
      const deliveries: Array<Delivery> = []
      yield* Effect.forkScoped(client.run((delivery) => Effect.sync(() => deliveries.push(delivery))))
      const came = (count: number) =>
        eventually(
          `${count} deliveries`,
          Effect.sync(() => deliveries.length >= count),
        )
      yield* isLive(client)
      const before = yield* notes(0, 5)
      yield* came(5)

      yield* connection.cut
      const away = yield* notes(5, 50)
      yield* eventually(
        "the newest ten are left",
        Effect.map(
          Mailbox.use((mailbox) => mailbox.stats(c1)),
          ({ floor, results }) => results === 10 && floor >= away[39]!.seq,
        ),
      )
      yield* connection.mend
      yield* came(16)
      yield* isLive(client)
      const after = yield* notes(55, 1)
      yield* came(17)

      const item = (receipt: { readonly seq: number } | undefined) => ({ seq: receipt!.seq })
      assert.deepStrictEqual(
        deliveries.map((delivery) => ("seq" in delivery ? item(delivery) : delivery)),
        [
          ...before.map(item),
          { type: "lost", reason: "retention", after: before[4]!.seq, upTo: away[39]!.seq },
          ...[...away.slice(40), ...after].map(item),
        ],
      )
    }).pipe(Effect.provide(nimbus(10), { local: true })),
  )
})
