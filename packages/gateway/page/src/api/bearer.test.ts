import { assert, describe, it } from "@effect/vitest"
import { bearerOf } from "./bearer.ts"

const jwt = (claims: object) => `e30.${btoa(JSON.stringify(claims)).replaceAll("+", "-").replaceAll("/", "_")}.c2ln`
const id_token = jwt({ aud: "page", name: "Zoe" })

describe("bearerOf", () => {
  it.each([
    { audience: "nimbus", aud: "nimbus" },
    { audience: "nimbus", aud: ["other", "nimbus"] },
    { audience: undefined, aud: "any" },
  ])("takes an access token for $audience that is for $aud", ({ aud, audience }) => {
    const access_token = jwt({ aud, name: "ÿÿÿ>>>???" })
    assert.strictEqual(bearerOf({ access_token, id_token }, audience), access_token)
  })

  it.each(["opaque", jwt({ aud: "other" }), jwt({}), "a.b.c", "..", ""])(
    "takes the ID token where the access token is %s",
    (access_token) => {
      assert.strictEqual(bearerOf({ access_token, id_token }, "nimbus"), id_token)
      assert.strictEqual(bearerOf({ access_token }, "nimbus"), access_token)
    },
  )
})
