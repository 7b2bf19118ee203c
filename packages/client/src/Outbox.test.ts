import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, EventId } from "@nimbus/domain/protocol"
import { Deferred, Effect } from "effect"
import * as Outbox from "./Outbox.ts"

const memory = { load: () => Effect.die("nothing is loaded here"), save: () => Effect.void }

describe("Outbox", () => {
  it.effect("keeps one ping and one ack, the latest, however long a write takes", () =>
    Effect.gen(function* () {
      const outbox = Outbox.make(memory, ClientId.make("c1"))
      const taken = yield* Deferred.make<void>()
      const written: Array<ReadonlyArray<string>> = []
      const write = (frames: ReadonlyArray<string>) => {
        written.push(frames)
        return Deferred.await(taken)
      }
      outbox.connect({ read: Effect.never, write })
      outbox.write([{ id: EventId.make("e1"), frame: "e1" }])
      yield* Effect.forkChild(outbox.flush, { startImmediately: true })
      for (let n = 0; n < 100; n++) {
        outbox.ping()
        outbox.ack(Cursor.make(n))
      }
      yield* Deferred.succeed(taken, undefined)
      yield* outbox.flush
      assert.deepStrictEqual(written, [["e1"], [`{"type":"ping"}`, `{"type":"ack","seq":99}`]])
    }),
  )
})
