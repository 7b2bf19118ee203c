import { assert, describe, it } from "@effect/vitest"
import { anyone } from "@nimbus/domain/access"
import { ClientId } from "@nimbus/domain/protocol"
import { Audit, type AuditEntry } from "@nimbus/domain/services"
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
      yield* subjects.send(principal, { clientId: ClientId.make("bob"), messages: 1, bytes: 10 }, from)
      const bulk = { clientId: ClientId.make("carol"), messages: 1, bytes: 10 }
      assert.propertyVal(yield* Effect.flip(subjects.send(principal, bulk, from)), "code", "SUBJECT_NEW_IDS")
      yield* subjects.send(principal, { ...bulk, clientId: phone }, from)
    }).pipe(Effect.provide(within({ new_ids_per_day: 2 })), Effect.scoped),
  )

  it.effect("limits nobody where there are no locks", () =>
    Effect.gen(function* () {
      const subjects = yield* Subjects
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* subjects.connect(anyone(alice), alice, from), unlimited)
        yield* subjects.send(anyone(alice), { clientId: phone, messages: 1_000_000, bytes: 2 ** 40 }, from)
      }
    }).pipe(Effect.provide(within({ connections: 1, new_ids_per_day: 1 }, Layer.empty)), Effect.scoped),
  )
})
