/**
 * Attacks transports of one server while honest clients use all transports, and judges: the process lives and is ready,
 * honest clients were shown exactly what they should, connections are back to what they were, memory is bounded, and
 * nothing was logged as an error.
 */
import { localLogLimits } from "@nimbus/domain/limits"
import { until } from "../../../scripts/services/Tools.ts"
import { Attack } from "./Attack.ts"
import { chat } from "./ChatTalk.ts"
import { grpc } from "./GrpcTalk.ts"
import { type Honest, honestClients } from "./Honest.ts"
import { http } from "./HttpTalk.ts"
import { Server, unpaced, type Vitals } from "./Server.ts"
import { Tokens } from "./Tokens.ts"
import type { HostileTransport } from "./Talk.ts"
import { approach2, approach3, native } from "./WebSocketTalk.ts"

export const transports: ReadonlyArray<HostileTransport> = [native, approach2, approach3, grpc, chat, http]

export interface FuzzOptions {
  readonly transports: ReadonlyArray<HostileTransport>
  /** For each transport. */
  readonly frames: number
  readonly seed: number
  /** Whether the server has locks: then all clients show tokens, and attackers also such as count for nothing. */
  readonly isLocked?: boolean
  /** When to stop with fewer frames. */
  readonly most_ms?: number | undefined
  /** How long connections and memory may take to settle. */
  readonly settle_ms?: number
  readonly report?: (line: string) => void
}

/**
 * What memory may have grown by since half of the run, where caches are full if the run is long: a quarter. In a short one
 * they still fill: by what the log keeps in memory.
 */
export const grown = { factor: 1.25, bytes: localLogLimits.tail_cache_bytes }

export interface Report {
  readonly attacks: ReadonlyArray<Attack>
  readonly took_ms: number
  readonly honest: ReadonlyArray<Honest>
  readonly before: Vitals
  /** At half of the frames. */
  readonly half: Vitals
  readonly after: Vitals
  /** The longest time that the event loop stood still meanwhile. */
  readonly delay_ms: number
  /** What should not have happened; empty if all is well. */
  readonly breaches: ReadonlyArray<string>
}

export const fuzz = async (options: FuzzOptions): Promise<Report> => {
  // The archive is read by HTTP alone. Elsewhere its own memory would hide what is looked for.
  const tokens = options.isLocked === true ? new Tokens() : undefined
  const env = { ...unpaced, ...tokens?.env }
  const server = await Server.start(options.transports.includes(http) ? "pglite" : "none", env, tokens?.of("nobody"))
  try {
    const honest = await honestClients(server.ports, tokens)
    try {
      return await attack(server, honest, options, tokens)
    } finally {
      await Promise.all(honest.map((client) => client.close()))
    }
  } finally {
    await server.stop()
  }
}

interface Baseline extends Vitals {
  readonly connections: number
}

const attack = async (
  server: Server,
  honest: ReadonlyArray<Honest>,
  options: FuzzOptions,
  tokens: Tokens | undefined,
): Promise<Report> => {
  const { most_ms = Infinity } = options
  const before = await baselineOf(server, honest)
  const began_ms = performance.now()
  let half: Promise<Vitals> | undefined
  let delay_ms = 0
  const look = async (): Promise<Vitals> => {
    // Of a server that has just died: that is told below.
    const vitals = await server.vitals().catch(() => before)
    delay_ms = Math.max(delay_ms, vitals.delay_ms)
    return vitals
  }
  const onProgress = () => {
    const total = attacks.reduce((sum, { frames }) => sum + frames, 0)
    const isLate = performance.now() - began_ms >= most_ms / 2
    if (isLate || total >= (options.frames * attacks.length) / 2) half ??= look()
  }
  const attacks = options.transports.map(
    (transport, i) =>
      new Attack({
        transport,
        frames: options.frames,
        seed: options.seed + i,
        ports: server.ports,
        tokens,
        onProgress,
      }),
  )
  const endAll = () => attacks.forEach((attack) => attack.giveUp())
  const watch = setInterval(() => (!server.isAlive || performance.now() - began_ms >= most_ms) && endAll(), 100)
  const telling = setInterval(async () => tell(await look(), attacks, options), 10_000)
  await Promise.all(attacks.map((attack) => attack.run()))
  clearInterval(watch)
  clearInterval(telling)
  const report = {
    attacks,
    took_ms: performance.now() - began_ms,
    honest,
    before,
    half: (await half) ?? before,
    after: before,
    delay_ms,
  }
  if (!server.isAlive) return { ...report, breaches: [`the process ended. What it printed last:\n${server.printed}`] }
  const harmed = await harmOf(honest)
  const { after, left } = await settle(server, before, report.half, options.settle_ms ?? 60_000)
  return {
    ...report,
    after,
    breaches: [...(most_ms === Infinity ? shortOf(attacks, options.frames) : []), ...harmed, ...left],
  }
}

/** Once the server has counted all honest connections. */
const baselineOf = async (server: Server, honest: ReadonlyArray<Honest>): Promise<Baseline> => {
  const expected = honest.reduce((sum, { connections }) => sum + connections, 0)
  const isCounted = async () => (await server.connections()) === expected
  if (!(await until(isCounted, 60_000))) throw new Error(`not ${expected} honest connections`)
  return { ...(await server.vitals()), connections: expected }
}

const tell = (vitals: Vitals, attacks: ReadonlyArray<Attack>, { report = () => {} }: FuzzOptions): void => {
  const { delay_ms, handles, rss_bytes } = vitals
  const counts = attacks.map(
    ({ connections, transport, frames }) => `${transport.name}: ${frames} on ${connections} connections`,
  )
  report(`${counts.join(", ")}; ${megabytes(rss_bytes)} MB, ${handles} handles, stood still ${delay_ms.toFixed(0)} ms`)
}

const shortOf = (attacks: ReadonlyArray<Attack>, wanted: number): ReadonlyArray<string> =>
  attacks
    .filter(({ frames }) => frames < wanted)
    .map(({ transport, frames }) => `${transport.name}: only ${frames} frames were read`)

const harmOf = async (honest: ReadonlyArray<Honest>): Promise<ReadonlyArray<string>> => {
  const harmed = await Promise.all(
    honest.map(async (client) => {
      const isComplete = await client.finish()
      if (client.breach !== undefined) return `honest client on ${client.name}: ${client.breach}`
      if (!isComplete) return `honest client on ${client.name}: not all of ${client.sent} came`
      return client.sent < 2 ? `honest client on ${client.name}: sent next to nothing` : undefined
    }),
  )
  return harmed.filter((harm) => harm !== undefined)
}

/** Waits until the server is as it was, or the time is over; returns what is not. */
const settle = async (server: Server, before: Baseline, half: Vitals, settle_ms: number) => {
  let after = await server.vitals()
  let left: ReadonlyArray<string> = []
  const isAsBefore = async () => {
    const connections = await server.connections().catch(() => Number.NaN)
    after = await server.vitals()
    left = [
      connections <= before.connections ? [] : [`${connections} sessions, and ${before.connections} before`],
      after.sockets <= before.sockets ? [] : [`${after.sockets} sockets, and ${before.sockets} before`],
      after.handles <= before.handles + files ? [] : [`${after.handles} handles, and ${before.handles} before`],
      after.rss_bytes <= boundOf(half) ? [] : [`${megabytes(after.rss_bytes)} MB, more than the bound`],
    ].flat()
    return left.length === 0
  }
  await until(isAsBefore, settle_ms)
  const isReady = await server.isReady()
  const errors = server.errors === 0 ? [] : [`${server.errors} lines of errors:\n${server.printed}`]
  return { after, left: [...left, ...(isReady ? [] : ["the process is not ready"]), ...errors] }
}

/** Files that the stores may have opened meanwhile. */
const files = 16

/** What memory may be in the end. */
export const boundOf = ({ rss_bytes }: Vitals): number => rss_bytes * grown.factor + grown.bytes

export const megabytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0)
