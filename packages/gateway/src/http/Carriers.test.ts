import { assert, describe, it } from "@effect/vitest"
import { type Carried, isNothing, shownBy } from "./Carriers.ts"

const shown = (headers: Carried["headers"], url = "/v1/stream?clientId=c1", cookies = true) =>
  shownBy({ headers, url, cookies })

describe("shownBy", () => {
  it.each([
    ["Bearer abc.def", "abc.def"],
    ["bearer   abc", "abc"],
    ["Basic YTpi", undefined],
    ["Bearer", undefined],
    ["Bearer a b", undefined],
  ])("of Authorization: %s takes %s", (authorization, token) => {
    assert.strictEqual(shown({ authorization }).token, token)
  })

  it("takes a token from the subprotocols that are offered", () => {
    assert.deepStrictEqual(shown({ "sec-websocket-protocol": "nimbus.v1, nimbus.bearer.abc.d-e_f" }), {
      token: "abc.d-e_f",
    })
    assert.deepStrictEqual(shown({ "sec-websocket-protocol": "nimbus.v1, nimbus.bearer." }), {})
  })

  it("takes a ticket from the URL, and never a token", () => {
    assert.deepStrictEqual(shown({}, "/v1/stream?clientId=c1&ticket=t%31"), { ticket: "t1" })
    for (const name of ["token", "access_token", "authorization"])
      assert.deepStrictEqual(shown({}, `/v1/stream?${name}=abc`), {})
  })

  it("takes the cookie where cookies count, whatever others stand beside it", () => {
    const cookie = "a=b; nimbus_session=abc.def; nimbus_session2=x"
    assert.deepStrictEqual(shown({ cookie }), { token: "abc.def" })
    assert.deepStrictEqual(shown({ cookie: "xnimbus_session=abc; nimbus_session=" }), {})
    assert.deepStrictEqual(shown({ cookie }, "/v1/stream", false), {})
  })

  it("counts the first carrier that is there, and no other", () => {
    const cookie = "nimbus_session=c"
    const all = { authorization: "Bearer a", "sec-websocket-protocol": "nimbus.bearer.b", cookie }
    assert.deepStrictEqual(shown(all, "/?ticket=t"), { token: "a" })
    assert.deepStrictEqual(shown({ ...all, authorization: undefined }, "/?ticket=t"), { token: "b" })
    assert.deepStrictEqual(shown({ cookie }, "/?ticket=t"), { ticket: "t" })
  })

  it("knows when nothing is shown", () => {
    assert.isTrue(isNothing(shown({})))
    assert.isFalse(isNothing(shown({ authorization: "Bearer a" })))
    assert.isFalse(isNothing({ certificate: { names: [], serial: "1", expires_s: 1 } }))
  })
})
