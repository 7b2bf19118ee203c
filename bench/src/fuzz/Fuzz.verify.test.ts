/** A short attack on the transports of one server at once; `npm run fuzz` has the long one. */
import { assert, describe, it } from "@effect/vitest"
import { Dice } from "@nimbus/domain/testing/dice"
import { transports, fuzz } from "./Fuzz.ts"

/** HTTP has the archive below it, whose start alone takes longer than this. */
const socketTransports = transports.filter(({ name }) => name !== "http")

/** Enough that each transport is met in all of its ways, whatever the dice say. */
const frames = 2_000

describe("hostile frames", () => {
  it.each([
    { what: "any transport of sockets", isLocked: false },
    { what: "any of them behind locks", isLocked: true },
  ])("harm neither the server nor honest clients, on $what", { timeout: 180_000 }, async ({ isLocked }) => {
    const { attacks, breaches } = await fuzz({ transports: socketTransports, frames, seed: 1, isLocked })
    assert.deepStrictEqual(breaches, [])
    for (const { transport, outcomes } of attacks)
      assert.isAbove(outcomes.size, 3, `${transport.name} answers in several ways`)
  })

  // The chat says hello until it is answered, always the same.
  it.each(transports.filter(({ name }) => name !== "chat"))("$name: the same seed says the same", (transport) => {
    const said = (seed: number) => {
      const talk = transport.talk({ dice: new Dice(seed), client: "h1", tell: () => {} })
      return Buffer.concat(Array.from({ length: 20 }, () => talk.round().bytes))
    }
    assert.isTrue(said(1).equals(said(1)))
    assert.isFalse(said(1).equals(said(2)))
  })
})
