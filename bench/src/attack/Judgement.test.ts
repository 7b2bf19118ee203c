import { assert, describe, it } from "@effect/vitest"
import { breachesOf, type Siege } from "./Judgement.ts"

const MB = 1024 * 1024
const rest = {
  rss_bytes: 700 * MB,
  memory_bytes: 100 * MB,
  peak_bytes: 150 * MB,
  cpu_ms: 1_000,
  delay_ms: 20,
  sockets: 10,
  handles: 40,
  connections: 1,
}
const good: Siege = {
  seconds: 30,
  p99_ms: 500,
  attack: { sent: 1_000, connections: 4, ended: 0, took_ms: 30_000, cpu_ms: 1_000 },
  honest: {
    sent: 600,
    p50_ms: 5,
    p99_ms: 499,
    max_ms: 2_000,
    missing: 0,
    repeated: 0,
    disordered: 0,
    refused: 0,
    connections: 1,
    own_stall_ms: 5,
  },
  first: rest,
  after: { ...rest, memory_bytes: 228 * MB, handles: 56 },
  isReady: true,
  errors: 0,
}

describe("an attack", () => {
  it("has broken nothing where all is as promised", () => assert.deepStrictEqual(breachesOf(good), []))

  it.each([
    ["is not ready", { isReady: false }],
    ["errors", { errors: 1 }],
    ["did not take place", { attack: { ...good.attack, sent: 0 } }],
    ["only 299", { honest: { ...good.honest, sent: 299 } }],
    ["p99 is 500", { honest: { ...good.honest, p99_ms: 500 } }],
    ["nothing was shown", { honest: { ...good.honest, p99_ms: undefined } }],
    ["1 missing", { honest: { ...good.honest, missing: 1 } }],
    ["1 repeated", { honest: { ...good.honest, repeated: 1 } }],
    ["1 out of order", { honest: { ...good.honest, disordered: 1 } }],
    ["1 refused", { honest: { ...good.honest, refused: 1 } }],
    ["229 MB", { after: { ...rest, memory_bytes: 229 * MB } }],
    ["2 sessions", { after: { ...rest, connections: 2 } }],
    ["11 sockets", { after: { ...rest, sockets: 11 } }],
    ["57 handles", { after: { ...rest, handles: 57 } }],
    ["NaN MB", { after: { ...rest, memory_bytes: Number.NaN } }],
  ] satisfies ReadonlyArray<[string, Partial<Siege>]>)("has broken a promise: %s", (words, change) => {
    const breaches = breachesOf({ ...good, ...change })
    assert.strictEqual(breaches.length, 1)
    assert.include(breaches[0], words)
  })
})
