/**
 * `npm run bench:locks`: what locks cost. Two embedded servers, one without locks and one whose clients show tokens
 * (RS256, keys of a file), under the same load in turn (ABBA): results per second of connected clients, and connections
 * per second that are opened, become LIVE and are closed.
 *
 * Beside both it counts the server's processor time, which other work on this machine hardly touches. `--blocks 8`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { connect, type Server, sleep } from "./Load.ts"
import { type Running, startNimbus, unlimited } from "./Processes.ts"
import { cpu_us, mean, medianOf, told } from "./Turns.ts"

const options = parseArgs({ options: { blocks: { type: "string", default: "8" } } }).values
const blocks = Number(options.blocks)

const busyClients = 20
const underWay = 64
const openers = 16
/** In one window with what goes before it. */
const connectionsAtMost = 12_000
const warm_up_ms = 8_000
const settle_ms = 1_000
const window_ms = 3_000

const issuer = "https://issuer.bench"
const audience = "nimbus-bench"
const directory = mkdtempSync(join(tmpdir(), "nimbus-bench-keys-"))
const jwks = join(directory, "jwks.json")
const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true })
writeFileSync(
  jwks,
  JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "bench", alg: "RS256", use: "sig" }] }),
)

const tokenOf = (subject: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: "RS256", kid: "bench" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(subject)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey)

const locked = async (server: Server, clientIds: ReadonlyArray<string>): Promise<Server> => {
  const tokens = new Map(await Promise.all(clientIds.map(async (id) => [id, await tokenOf(id)] as const)))
  return { ...server, headers: (clientId) => ({ authorization: `Bearer ${tokens.get(clientId) ?? ""}` }) }
}

interface Window {
  readonly per_s: number
  readonly cpu_us: number
}

type Measure = (running: Running, of: Server, names: ReadonlyArray<string>, settle?: number) => Promise<Window>

const windowOf = async ({ pid }: Running, count: () => number): Promise<Window> => {
  const [first, cpu, from] = [count(), cpu_us(pid), performance.now()]
  await sleep(window_ms)
  const took = count() - first
  return { per_s: (took * 1000) / (performance.now() - from), cpu_us: (cpu_us(pid) - cpu) / took }
}

const results: Measure = async (running, of, names, settle = settle_ms) => {
  const busy = await Promise.all(names.map((clientId) => connect({ server: of, clientId, underWay })))
  await sleep(settle)
  const window = await windowOf(running, () => busy.reduce((sum, { received }) => sum + received, 0))
  for (const client of busy) client.terminate()
  return window
}

/** Each opens, waits to be LIVE, closes, and begins again: as another client, for those of one wait for their turn. */
const connects: Measure = async (running, of, names, settle = settle_ms) => {
  const state = { opened: 0, goesOn: true }
  const left = names[Symbol.iterator]()
  const open = async () => {
    for (const clientId of left) {
      if (!state.goesOn) return
      const client = await connect({ server: of, clientId, underWay: 0 })
      state.opened++
      client.terminate()
    }
    if (state.goesOn) throw new Error(`there are more than ${names.length} connections in a window: sign more tokens`)
  }
  const all = Array.from({ length: openers }, open)
  await sleep(settle)
  const window = await windowOf(running, () => state.opened)
  state.goesOn = false
  await Promise.all(all)
  return window
}

const settings = { NIMBUS_EVENTS_PER_SECOND: unlimited, NIMBUS_JOURNEYS_PER_SECOND: "0" }
const off = await startNimbus(3920, settings)
const on = await startNimbus(3921, {
  ...settings,
  NIMBUS_AUTH_ISSUER: issuer,
  NIMBUS_AUTH_AUDIENCE: audience,
  NIMBUS_AUTH_JWKS: jwks,
})

const rounds = { count: 0 }
/** New clients, so that nothing waits for them. */
const namesOf = (count: number): ReadonlyArray<string> => {
  const round = rounds.count++
  return Array.from({ length: count }, (_, i) => `bench-${round}-${i}`)
}

const inTurn = async (what: string, count: number, measure: Measure) => {
  const open = (settle?: number) => measure(off, off.server, namesOf(count), settle)
  const shut = async (settle?: number) => {
    const names = namesOf(count)
    return measure(on, await locked(on.server, names), names, settle)
  }
  await open(warm_up_ms)
  await shut(warm_up_ms)
  const all = { off: new Array<Window>(), on: new Array<Window>() }
  const [throughput, cpu] = [new Array<number>(), new Array<number>()]
  for (let block = 0; block < blocks; block++) {
    const a = [await open()]
    const b = [await shut(), await shut()]
    a.push(await open())
    const of = (windows: ReadonlyArray<Window>, name: keyof Window) => mean(windows.map((window) => window[name]))
    throughput.push(of(b, "per_s") / of(a, "per_s"))
    cpu.push(of(b, "cpu_us") / of(a, "cpu_us"))
    all.off.push(...a)
    all.on.push(...b)
    console.error(
      `${what}, block ${block + 1} of ${blocks}: ${Math.round(of(a, "per_s"))}/s and ${Math.round(of(b, "per_s"))}/s`,
    )
  }
  const median = (windows: ReadonlyArray<Window>, name: keyof Window) =>
    medianOf(windows.map((window) => window[name])).median
  console.log(`${what} per second`)
  console.log(
    `  without locks               ${Math.round(median(all.off, "per_s"))}/s, ${median(all.off, "cpu_us").toFixed(2)} us each`,
  )
  console.log(
    `  with locks                  ${Math.round(median(all.on, "per_s"))}/s, ${median(all.on, "cpu_us").toFixed(2)} us each`,
  )
  console.log(`  with / without              ${told(throughput)}`)
  console.log(`  processor time of each      ${told(cpu)}`)
}

await inTurn("results", busyClients, results)
await inTurn("connections", connectionsAtMost, connects)
await Promise.all([on.stop(), off.stop()])
rmSync(directory, { recursive: true })
process.exit(0)
