import { assert, describe, it } from "@effect/vitest"
import { ClientId, start } from "@nimbus/domain/protocol"
import { Effect, Layer } from "effect"
import { Access } from "../access/Access.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { Limits, subjectLimits } from "../Limits.ts"
import { Pod } from "../Pod.ts"
import type { Within } from "../sockets/Throttle.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import type { Notice, Transport } from "../Transport.ts"
import { Subjects } from "./Subjects.ts"

const core = (bounds: Partial<typeof subjectLimits>, locks: Layer.Layer<never> | ReturnType<typeof Locks.layer>) =>
  Delivery.layer.pipe(
    Layer.provide(Subjects.layer),
    Layer.provide(Access.layer),
    Layer.provide(locks),
    Layer.provide(Pod.layer),
    Layer.provide(Limits.layerWith({ subject: { ...subjectLimits, ...bounds } })),
    Layer.provide(MemoryParts.layer),
  )

const makeTransport = () => {
  const told: Array<Notice> = []
  const limited: Array<Within> = []
  const transport: Transport = {
    name: "test",
    isGone: false,
    deliver: () => true,
    notify: (notice) => void told.push(notice),
    close: () => {},
    limit: (within) => void limited.push(within),
    pause: () => {},
    resume: () => {},
  }
  return { told, limited, transport }
}

const principal = Locks.principalOf({ subject: "alice" })

const open = Effect.fnUntraced(function* (id: string, direct = false) {
  const delivery = yield* Delivery
  const { limited, told, transport } = makeTransport()
  const request = { clientId: ClientId.make(id), principal, after: start, log: undefined, transport }
  const handle = yield* direct ? delivery.openDirect(request) : delivery.open(request)
  return { handle, limited, told }
})

describe("sessions of one subject", () => {
  it.live("are as many as its share, over all its clients, until one is over; a newer one of a client may come", () =>
    Effect.gen(function* () {
      const [first] = [yield* open("alice"), yield* open("alice::phone", true)]
      const error = yield* Effect.flip(open("alice::watch"))
      assert.deepInclude(error, { _tag: "SubjectRefused", code: "SUBJECT_CONNECTIONS" })
      yield* open("alice::phone")
      yield* Effect.flip(open("alice::watch"))
      first.handle.closed()
      yield* open("alice::watch")
      yield* Effect.flip(open("alice"))
    }).pipe(Effect.provide(core({ connections: 2 }, Locks.layer(new Map()))), Effect.scoped),
  )

  it.live("have the frames of the subject together, and are told when they are slowed down", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* open("alice"), yield* open("alice::phone")]
      const now_ms = 1_000_000
      for (let i = 0; i < 10; i++) one.limited[0]?.share.frame(1, now_ms)
      const owed = other.limited[0]?.share.owed(now_ms)
      if (owed === undefined) return assert.fail("the other one owes nothing")
      assert.propertyVal(owed, "code", "SUBJECT_FRAMES")
      other.limited[0]?.tell(owed)
      const notice = other.told.at(-1)
      assert.deepInclude(notice, { _tag: "Error", code: "SUBJECT_FRAMES", retry_ms: owed.retry_ms })
    }).pipe(Effect.provide(core({ frames_per_second: 10 }, Locks.layer(new Map()))), Effect.scoped),
  )

  it.live("are as many as come where there are no locks, and no transport has a share to look at", () =>
    Effect.gen(function* () {
      for (const id of ["a", "b", "c"]) assert.deepStrictEqual((yield* open(id)).limited, [])
    }).pipe(Effect.provide(core({ connections: 1 }, Layer.empty)), Effect.scoped),
  )
})
