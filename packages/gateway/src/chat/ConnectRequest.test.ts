import { assert, describe, it } from "@effect/vitest"
import { connectRequestOf } from "./ConnectRequest.ts"

const roomOf = (auth: Record<string, unknown>, header?: string) =>
  connectRequestOf({ auth, headers: header === undefined ? {} : { room: header } }, false)?.room
/** As Node hands over the bytes of a header. */
const sent = (text: string) => Buffer.from(text).toString("latin1")

describe("ConnectRequest", () => {
  it.each([
    "r",
    "Küche",
    "a b",
    "a/b",
    "😀",
    "\0\n\u2028",
    "__proto__",
    ".",
    "..",
    "%2F",
    "x".repeat(256),
    "😀".repeat(128),
  ])("%j is a room, in auth and as a header", (room) => {
    assert.strictEqual(roomOf({ room }), room)
    assert.strictEqual(roomOf({}, sent(room)), room)
  })

  it.each([
    [7, "7"],
    [0, "0"],
    [-1.5, "-1.5"],
    [1e21, "1e+21"],
  ])("the number %d is the room %j", (room, name) => assert.strictEqual(roomOf({ room }), name))

  it.each([
    {},
    { room: "" },
    { room: null },
    { room: true },
    { room: ["r"] },
    { room: { toString: "r" } },
    { room: "x".repeat(257) },
    { room: "😀".repeat(129) },
    { room: "\ud800" },
    { room: "a\udc00b" },
    { room: NaN },
  ])("%j is no room", (auth) => assert.isUndefined(roomOf(auth)))

  it("a header that is no UTF-8 is Latin-1, as Node's own clients send it", () => {
    assert.strictEqual(roomOf({}, "K\u00fcche"), "Küche")
  })

  it.each([{}, { room: "" }, { room: null }, { room: false }, { room: 0 }])(
    "a header counts where auth has %j",
    (auth) => {
      assert.strictEqual(roomOf(auth, "r"), "r")
    },
  )

  it.each([
    [undefined, 0],
    [null, 0],
    [false, 0],
    [0, 0],
    [2.5, 2],
    [true, Infinity],
    [-1, undefined],
    ["3", undefined],
    [{}, undefined],
    [NaN, undefined],
  ])("history %j asks for %j messages", (history, asked) => {
    const request = connectRequestOf({ auth: { room: "r", history }, headers: {} }, false)
    assert.deepStrictEqual([request?.room, request?.history], ["r", asked])
  })

  it("auth counts before a header", () => {
    assert.strictEqual(roomOf({ room: "a" }, "r"), "a")
    assert.isUndefined(roomOf({ room: ["a"] }, "r"))
  })
})
