import { assert, describe, it } from "@effect/vitest"
import { Revocations } from "@nimbus/domain/services"
import { Effect } from "effect"
import { adminLimits } from "../Limits.ts"
import { makeRevoking } from "./Revoking.ts"

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
const token = `${part({ alg: "ES256" })}.${part({ sub: "ada", jti: "t1" })}.c2lnbmF0dXJl`

describe("an order that has a token where a name belongs", () => {
  it.effect("is refused, as it would be about nobody and would keep the token", () =>
    Effect.gen(function* () {
      const revoking = yield* makeRevoking(adminLimits)
      for (const order of [
        revoking.revoke({ issuer: "app", tokenId: token }),
        revoking.revoke({ issuer: "app", subject: token }),
        revoking.block({ issuer: "app", subject: `Bearer ${token}` }),
      ]) {
        const { code, message } = yield* Effect.flip(order)
        assert.strictEqual(code, "NOT_POSSIBLE")
        assert.notInclude(message, token)
      }
      assert.deepStrictEqual((yield* revoking.list({})).revocations, [])
      yield* revoking.revoke({ issuer: "app", tokenId: "t1" })
      yield* revoking.block({ issuer: "app", subject: "auth0|eyJ.a" })
      assert.strictEqual((yield* revoking.list({})).count, 2)
    }).pipe(Effect.provide(Revocations.layerMemory())),
  )
})
