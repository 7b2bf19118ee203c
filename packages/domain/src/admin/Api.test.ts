import { assert, describe, it } from "@effect/vitest"
import { HttpApi } from "effect/http-api"
import { AdminApi, RoleNeeded } from "./Api.ts"

describe("the admin API", () => {
  it("says of each operation which role it asks for, where the operation stands", () => {
    const names: Array<string> = []
    const silent: Array<string> = []
    HttpApi.reflect(AdminApi, {
      onGroup: () => {},
      onEndpoint: ({ endpoint: { annotations, identifier } }) => {
        names.push(identifier)
        // Asked by the service itself it would give its default.
        if (!annotations.mapUnsafe.has(RoleNeeded.key)) silent.push(identifier)
      },
    })
    assert.includeMembers(names, ["status", "revoke", "audit", "setRole"])
    assert.deepStrictEqual(silent, [])
  })
})
