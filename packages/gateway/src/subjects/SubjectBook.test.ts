import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { subjectLimits } from "../Limits.ts"
import { type SubjectConnection, SubjectBook, type TooMuch } from "./SubjectBook.ts"

const limits = {
  ...subjectLimits,
  connections: 3,
  connections_retry_ms: 1_000,
  frames_per_second: 20,
  bytes_per_second: 10_000,
  credit_ms: 500,
  rooms: 2,
  new_ids_per_day: 4,
  tickets_per_minute: 3,
  subjects: 20,
  ids: 30,
}

const day_ms = 24 * 60 * 60 * 1000

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const steps = Arbitrary.array(
  Arbitrary.schema(
    Schema.Struct({
      gap_ms: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })),
      bytes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000 })),
      act: Schema.Literals(["connect", "close", "frame", "ask"]),
    }),
  ),
)

/** One that must not be refused. */
const connected = (book: SubjectBook, owner: string, now_ms: number, client?: string): SubjectConnection => {
  const connection = book.connect(owner, client, now_ms)
  return "code" in connection ? assert.fail(connection.code) : connection
}

describe("SubjectBook", () => {
  it.effect.prop("over any stretch stays within the bounds of each subject", { steps }, ({ steps }) =>
    Effect.sync(() => {
      const book = new SubjectBook(limits)
      const open: Array<SubjectConnection> = []
      let [now_ms, frames, bytes] = [0, 0, 0]
      for (const step of steps) {
        now_ms += step.gap_ms
        if (step.act === "connect") {
          const connection = book.connect("a", undefined, now_ms)
          if (!("code" in connection)) open.push(connection)
        }
        if (step.act === "close") open.pop()?.close()
        const isTaken =
          (step.act === "frame" && open.at(-1) !== undefined && open.at(-1)?.frame(step.bytes, now_ms) === undefined) ||
          (step.act === "ask" &&
            book.ask("a", { frames: 1, bytes: step.bytes, client: undefined }, now_ms) === undefined)
        if (isTaken) [frames, bytes] = [frames + 1, bytes + step.bytes]
        assert.isAtMost(open.length, limits.connections)
        const seconds = 1 + (now_ms + limits.credit_ms) / 1_000
        assert.isAtMost(frames, limits.frames_per_second * seconds + 1)
        assert.isAtMost(bytes, limits.bytes_per_second * seconds + 2_000)
      }
    }),
  )

  it.effect.prop(
    "serves whoever keeps the pace, whatever others do",
    { others: Arbitrary.array(between(0, 30)) },
    ({ others }) =>
      Effect.sync(() => {
        const book = new SubjectBook(limits)
        const modest = connected(book, "modest", 0)
        const greedy = connected(book, "greedy", 0)
        others.forEach((many, i) => {
          const now_ms = i * 100
          for (let k = 0; k < many; k++) {
            greedy.frame(2_000, now_ms)
            book.connect("greedy", `g${i}-${k}`, now_ms)
          }
          assert.isUndefined(modest.frame(500, now_ms))
          assert.isUndefined(modest.owed(now_ms))
          connected(book, "modest", now_ms, "phone").close()
        })
      }),
  )

  it.effect.prop(
    "serves whoever was refused as soon as it was said",
    { frames: between(1, 200), bytes: between(0, 3_000) },
    ({ bytes, frames }) =>
      Effect.sync(() => {
        const book = new SubjectBook(limits)
        const connection = connected(book, "a", 0)
        for (let i = 0; i < frames; i++) connection.frame(bytes, 0)
        const owed = connection.owed(0)
        if (owed !== undefined) assert.isUndefined(connection.owed(owed.retry_ms))
      }),
  )

  it("refuses one connection too many, and counts none that is refused", () => {
    const book = new SubjectBook(limits)
    const open = [1, 2, 3].map(() => connected(book, "a", 0))
    const refusal: TooMuch = { code: "SUBJECT_CONNECTIONS", retry_ms: 1_000 }
    for (let i = 0; i < 50; i++) assert.deepStrictEqual(book.connect("a", undefined, 0), refusal)
    connected(book, "b", 0)
    open[0]?.close()
    connected(book, "a", 0)
    assert.deepStrictEqual(book.connect("a", undefined, 0), refusal)
  })

  it("lets one come that takes the place of another, and no more of these at once than there may be others", () => {
    const book = new SubjectBook(limits)
    const open = [1, 2, 3].map(() => connected(book, "a", 0))
    const next = book.connect("a", undefined, 0, true)
    if ("code" in next) return assert.fail(next.code)
    open[0]?.close()
    assert.propertyVal(book.connect("a", undefined, 0), "code", "SUBJECT_CONNECTIONS")
    for (let i = 0; i < 3; i++) assert.notProperty(book.connect("a", undefined, 0, true), "code")
    assert.propertyVal(book.connect("a", undefined, 0, true), "code", "SUBJECT_CONNECTIONS")
  })

  it("lets a subject into so many rooms at once, with as many of its sockets as it likes", () => {
    const book = new SubjectBook(limits)
    const [one, other] = [connected(book, "a", 0), connected(book, "a", 0)]
    for (const socket of [one, other]) assert.isUndefined(socket.join("r1"))
    assert.isUndefined(one.join("r2"))
    assert.deepStrictEqual(other.join("r3"), { code: "SUBJECT_ROOMS", retry_ms: 1_000 })
    assert.isUndefined(connected(book, "b", 0).join("r3"))
    one.close()
    assert.isUndefined(other.join("r3"))
    assert.propertyVal(connected(book, "a", 0).join("r4"), "code", "SUBJECT_ROOMS")
  })

  it("gives so many tickets in a row, and then so many a minute; none that is refused counts", () => {
    const book = new SubjectBook(limits)
    for (let i = 0; i < 3; i++) assert.isUndefined(book.ticket("a", 0))
    for (let i = 0; i < 5; i++)
      assert.deepStrictEqual(book.ticket("a", 0), { code: "SUBJECT_TICKETS", retry_ms: 20_000 })
    assert.isUndefined(book.ticket("b", 0))
    assert.isUndefined(book.ticket("a", 20_000))
    assert.propertyVal(book.ticket("a", 39_999), "retry_ms", 1)
    assert.isUndefined(book.ticket("a", 40_000))
    connected(book, "a", 40_000)
    assert.propertyVal(book.ticket("a", 40_000), "retry_ms", 20_000, "also while it is connected")
  })

  it("gives so many new ids in a row, and then so many a day; an id in use and its own are none", () => {
    const book = new SubjectBook(limits)
    for (const id of ["d1", "d2", "d3", "d4"]) connected(book, "a", 0, id).close()
    const refusal = book.connect("a", "d5", 0)
    assert.deepStrictEqual(refusal, { code: "SUBJECT_NEW_IDS", retry_ms: day_ms / 4 })
    assert.deepStrictEqual(book.ask("a", { frames: 1, bytes: 1, client: "d5" }, 0), refusal)
    assert.isUndefined(book.ask("a", { frames: 1, bytes: 1, client: "d4" }, 0))
    assert.isUndefined(book.ask("a", { frames: 1, bytes: 1, client: undefined }, 0))
    connected(book, "b", 0, "d5").close()
    connected(book, "a", day_ms / 4, "d5").close()
    assert.propertyVal(book.connect("a", "d6", day_ms / 4), "code", "SUBJECT_NEW_IDS")
    connected(book, "a", day_ms - 1, "d1")
  })

  it("refuses what is asked without a connection while the subject owes anything", () => {
    const book = new SubjectBook(limits)
    assert.isUndefined(book.ask("a", { frames: 1, bytes: 30_000, client: undefined }, 0))
    const refusal = book.ask("a", { frames: 1, bytes: 1, client: undefined }, 0)
    assert.propertyVal(refusal, "code", "SUBJECT_BYTES")
    assert.isUndefined(book.ask("a", { frames: 1, bytes: 1, client: undefined }, refusal?.retry_ms ?? 0))
  })

  it("forgets those that have asked least lately, and none that is connected", () => {
    const book = new SubjectBook(limits)
    connected(book, "here", 0)
    const other = connected(book, "last", 0, "d0")
    for (let i = 0; i < 100; i++) connected(book, `a${i}`, 0).close()
    other.close()
    for (const id of ["d1", "d2", "d3"]) book.ask("last", { frames: 0, bytes: 0, client: id }, 0)
    assert.isAtMost(book.size, limits.subjects + 1)
    assert.propertyVal(book.connect("last", "d4", 0), "code", "SUBJECT_NEW_IDS")
    for (let i = 0; i < 2; i++) connected(book, "here", 0)
    assert.propertyVal(book.connect("here", undefined, 0), "code", "SUBJECT_CONNECTIONS")
  })

  it("remembers no more subjects and ids than its bounds, however many come at once", () => {
    const book = new SubjectBook(limits)
    for (let i = 0; i < 1_000; i++) connected(book, `a${i}`, 0, `d${i}`).close()
    assert.isAtMost(book.size, limits.subjects)
    assert.isAtMost(book.idsRemembered, limits.ids)
  })

  it("goes on under a clock that goes back", () => {
    const book = new SubjectBook(limits)
    const connection = connected(book, "a", 1_000_000)
    for (let i = 0; i < 20; i++) connection.frame(1_000, 1_000_000)
    for (let i = 0; i < 10; i++) book.connect("a", `d${i}`, 100 * day_ms)
    assert.isAtMost(book.ask("a", { frames: 1, bytes: 1, client: "x" }, 0)?.retry_ms ?? 0, day_ms)
    connection.close()
  })
})
