import { assert, describe, it } from "@effect/vitest"
import { anyone } from "@nimbus/domain/access"
import { ClientId, EventId, seqUnsafe } from "@nimbus/domain/protocol"
import { Audit, type AuditEntry, MailboxMemory } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { Access } from "../access/Access.ts"
import { Limits, subjectLimits } from "../Limits.ts"
import * as Locks from "../testing/Locks.ts"
import { Subjects, unlimited } from "./Subjects.ts"

const [alice, phone] = [ClientId.make("alice"), ClientId.make("alice::phone")]
const from = { address: "192.0.2.1", transport: "/v1/stream" }

const within = (
  bounds: Partial<typeof subjectLimits>,
  locks: Layer.Layer<never> | ReturnType<typeof Locks.layer> = Locks.layer(new Map()),
) =>
  Subjects.layer.pipe(
    Layer.provide(Access.layer),
    Layer.provide(locks),
    Layer.provide(MailboxMemory.layerMemory()),
    Layer.provide(Limits.layerWith({ subject: { ...subjectLimits, ...bounds } })),
  )

describe("Subjects", () => {
  it.effect(
    "knows a subject by whatever client it connects as, gives a share back once, and tells of a refusal",
    () => {
      const told: Array<AuditEntry> = []
      return Effect.gen(function* () {
        const subjects = yield* Subjects
        const principal = Locks.principalOf({ subject: "alice" })
        const share = yield* subjects.connect(principal, alice, from)
        const other = yield* subjects.connect(principal, phone, from)
        const error = yield* Effect.flip(subjects.connect(principal, alice, from))
        assert.deepInclude(error, { code: "SUBJECT_CONNECTIONS", retry_ms: 5_000 })
        assert.include(error.message, "NIMBUS_CONNECTIONS_PER_SUBJECT")
        assert.include(error.message, "wait 5 s")
        yield* subjects.connect(Locks.principalOf({ subject: "bob" }), ClientId.make("bob"), from)
        share.close()
        share.close()
        yield* subjects.connect(principal, alice, from)
        yield* Effect.flip(subjects.connect(principal, alice, from))
        other.close()
        assert.deepStrictEqual(
          told.map(({ action, clientId, outcome, subject }) => ({ action, clientId, outcome, subject })),
          Array.from({ length: 2 }, () => {
            return { action: "refused" as const, clientId: alice, outcome: "SUBJECT_CONNECTIONS", subject: "alice" }
          }),
        )
      }).pipe(
        Effect.provide(
          within({ connections: 2 }).pipe(Layer.provide(Layer.succeed(Audit, { record: (e) => void told.push(e) }))),
        ),
        Effect.scoped,
      )
    },
  )

  it.effect("counts its own client id as no new one, and any other, also of those that it sends to", () =>
    Effect.gen(function* () {
      const subjects = yield* Subjects
      const principal = Locks.principalOf({ subject: "alice" })
      for (let i = 0; i < 5; i++) yield* subjects.connect(principal, alice, from)
      yield* subjects.connect(principal, phone, from)
      const published: Array<number> = []
      const publish = Effect.sync(() => {
        published.push(1)
        return [{ id: EventId.make("m"), seq: seqUnsafe(published.length) }]
      })
      const bulk = { clientId: ClientId.make("carol"), messages: 1, bytes: 10, isMail: true }
      yield* subjects.send(principal, { ...bulk, clientId: ClientId.make("bob") }, from, publish)
      assert.propertyVal(yield* Effect.flip(subjects.send(principal, bulk, from, publish)), "code", "SUBJECT_NEW_IDS")
      yield* subjects.send(principal, { ...bulk, clientId: phone }, from, publish)
      assert.lengthOf(published, 2)
    }).pipe(Effect.provide(within({ new_ids_per_day: 2 })), Effect.scoped),
  )

  it.effect("limits nobody where there are no locks", () =>
    Effect.gen(function* () {
      const subjects = yield* Subjects
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* subjects.connect(anyone(alice), alice, from), unlimited)
        yield* subjects.send(
          anyone(alice),
          { clientId: phone, messages: 1e6, bytes: 2 ** 40, isMail: true },
          from,
          Effect.succeed([]),
        )
      }
    }).pipe(Effect.provide(within({ connections: 1, new_ids_per_day: 1 }, Layer.empty)), Effect.scoped),
  )
})
