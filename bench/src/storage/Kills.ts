/**
 * Results that are archived while the writer is killed: they wait in the log, a process with the role `storage-writer`
 * carries them into a store, and is killed (SIGKILL) a number of times on the way, each time in the middle. Afterwards
 * every row is compared with what was sent.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Cursor, encodeResult, EventId, partitionOf, Seq, start } from "@nimbus/domain/protocol"
import { Archive, EventLog, Topics } from "@nimbus/domain/services"
import { Effect } from "effect"
import { at, freePorts } from "../../../scripts/services/Tools.ts"

export interface KillsOptions {
  readonly results: number
  readonly clients: number
  readonly kills: number
  /** Where the services are, and which store it is. */
  readonly environment: Readonly<Record<string, string>>
}

export interface KillsReport {
  /** Under the keys of all clients. */
  readonly rows: number
  /** Rows that are missing, or differ from what was sent. */
  readonly wrong: number
  readonly kills: number
  /** Of the writing from the first start to the last row, restarts included. */
  readonly rows_per_second: number
}

const clientOf = (i: number, clients: number): string => `c${i % clients}`
const resultOf = (i: number) =>
  encodeResult({
    seq: Seq.make(i),
    id: EventId.make(`event-${i}`),
    name: "sq",
    data: { number: i, result: i * i, text: `result ${i} of many` },
  })

/** Needs the log and the store that the environment names. */
export const writeAndKill = Effect.fn(function* (
  options: KillsOptions,
): Effect.fn.Return<KillsReport, unknown, EventLog | Topics | Archive> {
  yield* publish(options)
  const total = (yield* endsOf).reduce((sum, end) => sum + end, 0)
  let writer = yield* startWriter(options)
  const began_ms = performance.now()
  let kills = 0
  for (;;) {
    const written = (yield* positions).reduce((sum, position) => sum + position, 0)
    if (written >= total - (yield* EventLog).partitions) break
    if (kills < options.kills && written > (total * (kills + 1)) / (options.kills + 1)) {
      yield* stopWriter(writer, "SIGKILL")
      kills++
      writer = yield* startWriter(options)
    }
    yield* Effect.sleep("5 millis")
  }
  const took_ms = performance.now() - began_ms
  yield* stopWriter(writer, "SIGTERM")
  return { ...(yield* compare(options)), kills, rows_per_second: (options.results * 1000) / took_ms }
})

/** What the writer process is to write, in the order of the log. */
const publish = Effect.fnUntraced(function* ({ clients, results }: KillsOptions) {
  const log = yield* EventLog
  const topics = yield* Topics
  const byPartition = Array.from({ length: log.partitions }, () => Array<number>())
  for (let i = 0; i < results; i++) byPartition[partitionOf(clientOf(i, clients), log.partitions)]!.push(i)
  for (const [partition, all] of byPartition.entries()) {
    for (let begin = 0; begin < all.length; begin += 2_000) {
      const records = all.slice(begin, begin + 2_000).map((i) => ({ key: clientOf(i, clients), value: resultOf(i) }))
      yield* log.publish(topics.results, partition, records)
    }
  }
})

const endsOf = Effect.gen(function* () {
  const log = yield* EventLog
  const { results } = yield* Topics
  return yield* Effect.forEach(Array.from({ length: log.partitions }).keys(), (partition) =>
    log.end(results, partition),
  )
})

/** How far the store has each partition; it stays one short, at the last result. */
const positions = Effect.gen(function* () {
  const { incarnation, partitions } = yield* EventLog
  const archive = yield* Archive
  return yield* Effect.forEach(Array.from({ length: partitions }).keys(), (partition) =>
    Effect.map(archive.position({ incarnation, kind: "results", partition }), (position) => position ?? 0),
  )
})

/** Every client's rows, in order, beside what was sent. */
const compare = Effect.fnUntraced(function* ({ clients, results }: KillsOptions) {
  const { incarnation } = yield* EventLog
  const archive = yield* Archive
  const decoder = new TextDecoder()
  let [rows, wrong] = [0, 0]
  for (let client = 0; client < Math.min(clients, results); client++) {
    let expected = client
    let after: Cursor = start
    for (;;) {
      const question = { incarnation, kind: "results", key: clientOf(client, clients), after } as const
      const page = yield* archive.page({ ...question, limit: { results: 1_000, bytes: 1024 * 1024 } })
      for (const { place, value } of page.records) {
        if (place !== expected || value !== decoder.decode(resultOf(expected))) wrong++
        expected += clients
      }
      rows += page.records.length
      const last = page.records.at(-1)
      if (!page.more || last === undefined) break
      after = Cursor.make(last.place)
    }
    if (expected < results) wrong += Math.ceil((results - expected) / clients)
  }
  return { rows, wrong }
})

const main = fileURLToPath(new URL("../../../packages/nimbus/src/cluster/pipeline.ts", import.meta.url))

const startWriter = Effect.fnUntraced(function* ({ environment }: KillsOptions) {
  const port = at(yield* Effect.promise(() => freePorts(1)), 0)
  const env = { ...environment, NIMBUS_PIPELINE_HTTP_PORT: `${port}`, NIMBUS_ROLES: "storage-writer" }
  return yield* Effect.sync(() =>
    spawn(process.execPath, [main], { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "inherit"] }),
  )
})

const stopWriter = (child: ChildProcess, signal: NodeJS.Signals) =>
  Effect.promise(async () => {
    if (child.exitCode !== null) throw new Error(`the writer ended by itself with ${child.exitCode}`)
    const gone = once(child, "exit")
    child.kill(signal)
    await gone
  })
