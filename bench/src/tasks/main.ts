/**
 * `npm run bench:tasks`: 500 tasks at once, each with a client of its own that reads its tokens, for 30 seconds: the server
 * as `npm start` has it with `join_ms` 0, beside Redis Streams and Server-Sent Events by hand (`redis.ts`), in turn, in one
 * run on this machine, load generator and Redis included. Each figure is the median of three with its range. A time is
 * from where the handler made a token to where the client has it. `npm run bench:tasks -- 10` measures 10 seconds each.
 */
import { startServices } from "../../../scripts/services/Services.ts"
import { type Figure, inTurn, type Measured, milliseconds, perSecond, ratioOf, tellLoad, worded } from "../Figures.ts"
import { quantile, sleep } from "../Load.ts"
import { type Running, startServer } from "../Processes.ts"
import { type Connect, overNimbus, overSse, type Reader } from "./Readers.ts"

const tasks = 500
const warm_up_ms = 3_000
const connects_at_once = 50
const [seconds = "30"] = process.argv.slice(2)
const measure_ms = Number(seconds) * 1_000

interface Server {
  readonly connect: Connect
  readonly running: Running
}

let runs = 0

const connectAll = async (
  { connect, running: { base } }: Server,
  per_second: number,
): Promise<ReadonlyArray<Reader>> => {
  const run = `tasks-${runs++}`
  const all: Array<Reader> = []
  while (all.length < tasks) {
    const batch = Array.from({ length: connects_at_once }, (_, i) =>
      connect(base, `${run}-${all.length + i}`, { per_second, for_ms: warm_up_ms + measure_ms }),
    )
    all.push(...(await Promise.all(batch)))
  }
  return all
}

/** Tokens per second, p50 and p99 of their times. Every task is waited for: one that is late or has a gap is an error. */
const measure = (server: Server, per_second: number) => async (): Promise<Measured> => {
  const all = await connectAll(server, per_second / tasks)
  const ended = Promise.all(all.map((reader) => reader.ask()))
  // A failure is told at the end; until then it is no unhandled one.
  ended.catch(() => {})
  await sleep(warm_up_ms)
  const count = () => all.reduce((sum, reader) => sum + reader.tokens, 0)
  for (const reader of all) reader.measure()
  const [before, from] = [count(), performance.now()]
  await sleep(measure_ms)
  const rate = ((count() - before) * 1_000) / (performance.now() - from)
  await ended
  const times = all.flatMap((reader) => reader.times_ms)
  for (const reader of all) reader.close()
  return [rate, quantile(times, 0.5), quantile(times, 0.99)]
}

const told = ([rate, ...times]: ReadonlyArray<Figure>): string =>
  rate === undefined ? "" : `${worded([rate], perSecond)}, p50 / p99 ${worded(times, milliseconds)}`

const services = await startServices(["redis"])
tellLoad("before")
const ours: Server = { connect: overNimbus, running: await startServer("tasks/nimbus.ts", 3920) }
const theirs: Server = { connect: overSse, running: await startServer("tasks/redis.ts", 3921, services.environment) }
const rows: Array<Readonly<Record<string, string>>> = []
for (const [what, per_second] of [
  ["5,000 tokens/s offered", 5_000],
  ["20,000 tokens/s offered", 20_000],
  ["as many as are taken", 0],
] as const) {
  const [nimbus = [], redis = []] = await inTurn([ours, theirs].map((server) => measure(server, per_second)))
  rows.push({ what, nimbus: told(nimbus), "Redis Streams and SSE": told(redis), ratio: ratioOf(nimbus, redis) })
  console.error(JSON.stringify(rows.at(-1)))
}
tellLoad("after")
console.table(rows)
await Promise.all([ours, theirs].map(({ running }) => running.stop()))
await services.stop()
process.exit(0)
