/** The conformance suite of `ClientOffsets`. Every test uses its own client ids. */
import { assert } from "@effect/vitest"
import { Effect, type Layer, Random } from "effect"
import { ClientOffsets } from "../services/ClientOffsets.ts"
import { ClientId, Cursor, Epoch, Incarnation } from "../protocol/Ids.ts"
import { conformance } from "./Conformance.ts"

/** The contract of `ClientOffsets` as tests: call it in a test file with the layer to be tested. */
export const clientOffsetsSuite = <E>(name: string, offsets: Layer.Layer<ClientOffsets, E>) =>
  conformance(`ClientOffsets: ${name}`, offsets, (it) => {
    it.effect("knows nothing of a client that it has not seen, also after a load", () =>
      Effect.gen(function* () {
        const { load } = yield* ClientOffsets
        const one = yield* session(1)
        assert.isUndefined(yield* load(one))
        assert.isUndefined(yield* load(one))
      }),
    )

    it.effect("gives back what was saved, offset 0 and seq -1 too", () =>
      Effect.gen(function* () {
        const { load, save } = yield* ClientOffsets
        const one = yield* session(1)
        assert.deepStrictEqual(yield* save([fact(one, 0, -1)]), [true])
        assert.deepStrictEqual(yield* load(one), { offset: 0, seq: Cursor.make(-1) })
        const large = Number.MAX_SAFE_INTEGER - 1
        yield* save([fact(one, large, large)])
        assert.deepStrictEqual(yield* load(one), { offset: large, seq: Cursor.make(large) })
      }),
    )

    it.effect("saves a chunk, each client for itself", () =>
      Effect.gen(function* () {
        const { load, save } = yield* ClientOffsets
        const [one, two] = [yield* session(1), yield* session(1)]
        assert.deepStrictEqual(yield* save([fact(one, 5, 4), fact(two, 7, 6)]), [true, true])
        assert.deepStrictEqual(yield* load(one), { offset: 5, seq: Cursor.make(4) })
        assert.deepStrictEqual(yield* load(two), { offset: 7, seq: Cursor.make(6) })
        assert.deepStrictEqual(yield* save([]), [])
      }),
    )

    it.effect("only rises, whoever comes late, offset and seq each by itself", () =>
      Effect.gen(function* () {
        const { load, save } = yield* ClientOffsets
        const one = yield* session(1)
        yield* save([fact(one, 50, 40)])
        yield* save([fact(one, 30, 45)])
        assert.deepStrictEqual(yield* load(one), { offset: 50, seq: Cursor.make(45) })
        yield* save([fact(one, 60, 20)])
        assert.deepStrictEqual(yield* load(one), { offset: 60, seq: Cursor.make(45) })
      }),
    )

    it.effect("tells an older session that a newer one has been here, and keeps its fact", () =>
      Effect.gen(function* () {
        const { load, save } = yield* ClientOffsets
        const older = yield* session(1_790_000_000_000)
        const newer = { ...older, epoch: Epoch.make(1_790_000_000_001) }
        assert.deepStrictEqual(yield* save([fact(older, 5, 5)]), [true])
        yield* load(newer)
        assert.deepStrictEqual(yield* save([fact(older, 9, 9), fact(newer, 7, 7)]), [false, true])
        assert.deepStrictEqual(yield* load(older), { offset: 9, seq: Cursor.make(9) })
        assert.deepStrictEqual(yield* save([fact(older, 10, 10)]), [false])
      }),
    )

    it.effect("of another life of the topics nothing is loaded, and a save replaces it", () =>
      Effect.gen(function* () {
        const { load, save } = yield* ClientOffsets
        const before = yield* session(1)
        const after = { ...before, log: Incarnation.make("another life: of the topics") }
        yield* save([fact(before, 500, 500)])
        assert.isUndefined(yield* load(after))
        assert.deepStrictEqual(yield* save([fact(after, 3, 2)]), [true])
        assert.deepStrictEqual(yield* load(after), { offset: 3, seq: Cursor.make(2) })
      }),
    )

    it.effect("of racing saves the highest is left", () =>
      Effect.gen(function* () {
        const { load, save } = yield* ClientOffsets
        const one = yield* session(1)
        yield* Effect.forEach(
          Array.from({ length: 100 }, (_, i) => (i * 37) % 100),
          (n) => save([fact(one, n, n)]),
          { concurrency: "unbounded", discard: true },
        )
        assert.deepStrictEqual(yield* load(one), { offset: 99, seq: Cursor.make(99) })
      }),
    )
  })

type Session = { readonly clientId: ClientId; readonly epoch: Epoch; readonly log: Incarnation }

/** The offset of a client that no other test uses. */
const session = (epoch: number): Effect.Effect<Session> =>
  Effect.map(Random.nextIntBetween(0, 2 ** 48), (n) => ({
    clientId: ClientId.make(`c-${n.toString(36)}`),
    epoch: Epoch.make(epoch),
    log: Incarnation.make("a life"),
  }))

const fact = (owner: Session, offset: number, seq: number) => ({ ...owner, offset, seq: Cursor.make(seq) })
