/** A few attacks, short, on a server without the archive, whose start alone takes longer; `npm run attack` has them all. */
import { assert, describe, it } from "@effect/vitest"
import { attacks } from "./attacks/index.ts"
import { besiege } from "./Sieges.ts"

const names = ["pings", "chat-unknown", "grpc-settings", "openings-one"]

describe("attackers", () => {
  it("end nothing, and leave nothing behind; an honest client loses nothing", { timeout: 300_000 }, async () => {
    const rows = await besiege({
      attacks: attacks.filter(({ name }) => names.includes(name)),
      seconds: 2,
      calm_seconds: 0,
      settle_ms: 60_000,
      storage: "none",
      // How fast the machine is, this test does not ask.
      p99_ms: 60_000,
    })
    assert.deepStrictEqual(
      rows.map(({ attack, breaches }) => [attack.name, breaches]),
      names.map((name) => [name, []]),
    )
  })

  it("are each known by a name of their own", () => {
    const all = attacks.map(({ name }) => name)
    assert.deepStrictEqual(all, [...new Set(all)])
    assert.includeMembers(all, names)
  })
})
