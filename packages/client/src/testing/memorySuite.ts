/** The contract of `ClientMemory`, run on every implementation. `make` opens the same memory each time it is built. */
import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, EventId, Incarnation, Seq } from "@nimbus/domain/protocol"
import { Arbitrary, Effect, type Layer } from "effect"
import { apply, ClientMemory, empty, encodeStored, type Remembered, toLedger, toRemembered } from "../Memory.ts"
import { Change } from "../MemorySchemas.ts"

const c1 = ClientId.make("c1")
const c2 = ClientId.make("c2:@.-_")
const id = (text: string) => EventId.make(text)
const log = Incarnation.make("log-0")

const load = (clientId: ClientId) => ClientMemory.use((memory) => memory.load(clientId))
const save = (clientId: ClientId, ...changes: ReadonlyArray<Change>) =>
  ClientMemory.use((memory) => memory.save(clientId, changes))

const changes: ReadonlyArray<Change> = [
  { _tag: "Entered", log, last: Cursor.make(-1) },
  {
    _tag: "Sent",
    events: [
      { id: id("a"), frame: '{"line":"\\n\u2028"}\n' },
      { id: id("b"), frame: "{}" },
    ],
  },
  { _tag: "Doubted", ids: [id("a")] },
  { _tag: "Settled", ids: [id("b")] },
  { _tag: "Answered", answers: [{ id: id("a"), seq: Seq.make(4) }] },
  { _tag: "Started", id: id("c"), name: "ask", since: Cursor.make(2) },
  { _tag: "Part", id: id("c"), seq: Cursor.make(3), attempt: 1, part: 0, data: "void" },
  { _tag: "Part", id: id("c"), seq: Cursor.make(5), attempt: 2, part: 0, data: { text: "\n\u2028" } },
  { _tag: "Part", id: id("c"), seq: Cursor.make(6), attempt: 2, part: 1, data: null },
  { _tag: "Trimmed", id: id("c"), first: 1 },
  { _tag: "Ended", id: id("c"), seq: Cursor.make(7), attempt: 2, part: 2, end: { as: "done" } },
  { _tag: "Started", id: id("d"), name: "ask", since: Cursor.make(2) },
  { _tag: "Discarded", ids: [id("d")] },
  { _tag: "Cancelled", ids: [id("e"), id("f")] },
  { _tag: "CancelSettled", ids: [id("f")] },
  { _tag: "Reached", last: Cursor.make(4) },
  { _tag: "Consumed", seq: Cursor.make(6) },
]
const after: Remembered = {
  log,
  last: Cursor.make(4),
  consumed: Cursor.make(6),
  unaccepted: [{ id: id("a"), frame: '{"line":"\\n\u2028"}\n' }],
  doubtful: [{ id: id("a"), answered: Cursor.make(4) }],
  tasks: [
    {
      id: id("c"),
      name: "ask",
      since: Cursor.make(2),
      seq: Cursor.make(7),
      attempt: 2,
      began: 2,
      first: 1,
      parts: [null],
      end: { as: "done" },
    },
  ],
  cancels: [id("e")],
}

export const memorySuite = (name: string, make: () => Layer.Layer<ClientMemory>): void => {
  describe(`ClientMemory: ${name}`, () => {
    it.effect("gives an empty memory for a client that was never here", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* load(c1), empty)
      }).pipe(Effect.provide(make())),
    )

    it.effect("gives what the saves add up to, each client its own", () =>
      Effect.gen(function* () {
        yield* load(c1)
        yield* load(c2)
        for (const change of changes) yield* save(c1, change)
        yield* save(c2, { _tag: "Entered", log, last: Cursor.make(9) })
        assert.deepStrictEqual(yield* load(c1), after)
        assert.deepStrictEqual(yield* load(c2), { ...empty, log, last: Cursor.make(9) })
      }).pipe(Effect.provide(make())),
    )

    it.effect("takes several changes in one save, in order", () =>
      Effect.gen(function* () {
        yield* load(c1)
        yield* save(c1, ...changes)
        assert.deepStrictEqual(yield* load(c1), after)
      }).pipe(Effect.provide(make())),
    )

    it.effect.prop(
      "gives what any changes add up to",
      [Arbitrary.array(Arbitrary.schema(Change))],
      ([changes]) =>
        Effect.gen(function* () {
          const ledger = toLedger(yield* load(c1))
          for (const change of changes) {
            apply(ledger, change)
            yield* save(c1, change)
          }
          assert.strictEqual(encodeStored(yield* load(c1)), encodeStored(toRemembered(ledger)))
        }).pipe(Effect.provide(make(), { local: true })),
      { arbitrary: { runs: 20 } },
    )
  })
}
