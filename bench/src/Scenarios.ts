/** What is measured. Each takes a running server and answers its figures. */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { type LoadClient, connect, quantile, type Server, sleep } from "./Load.ts"
import type { Cluster, Running } from "./Processes.ts"
import { partitionOf } from "@nimbus/domain"

const warm_up_ms = 2_000
const measure_ms = 5_000
const uncounted = 1_000

/** Results per second with `clients` clients, each with `underWay` events on their way. */
export const live = async (server: Server, clients: number, underWay: number): Promise<number> => {
  const all = await Promise.all(
    Array.from({ length: clients }, (_, i) => connect({ server, clientId: `live-${clients}-${i}`, underWay })),
  )
  await sleep(warm_up_ms)
  const count = () => all.reduce((sum, { received }) => sum + received, 0)
  const [before, from] = [count(), performance.now()]
  await sleep(measure_ms)
  const rate = ((count() - before) / (performance.now() - from)) * 1000
  expectOrder(all)
  for (const client of all) client.terminate()
  return rate
}

/** End-to-end times at a modest, even load over ten clients: [p50, p99] in ms. */
export const latency = async (server: Server, per_second: number): Promise<readonly [number, number]> => {
  const clients = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      connect({ server, clientId: `latency-${per_second}-${i}`, underWay: 0, isTimed: true }),
    ),
  )
  const from = performance.now()
  let sent = 0
  while (performance.now() - from < measure_ms + warm_up_ms) {
    const due = ((performance.now() - from) * per_second) / 1000
    while (sent < due) clients[sent++ % clients.length]!.send()
    await sleep(1)
  }
  await sleep(200)
  // The first seconds are warm-up.
  const times = clients.flatMap(({ latencies_ms }) => latencies_ms.slice(latencies_ms.length / 3))
  for (const client of clients) client.terminate()
  return [quantile(times, 0.5), quantile(times, 0.99)]
}

/** Results per second of one client that finds `backlog` results waiting; the median of three such clients. */
export const replay = async ({ base, server }: Running, backlog: number, partitions: number): Promise<number> => {
  const rates: Array<number> = []
  for (let run = 0; run < 3; run++) {
    const clientId = `replay-${run}`
    await fill(base, clientId, backlog)
    await pipelineIsEmpty(server, clientId, partitions)
    rates.push(await drain(server, clientId, backlog))
  }
  return quantile(rates, 0.5)
}

/** Messages to a client, in batches. */
export const fill = async (base: string, clientId: string, backlog: number): Promise<void> => {
  for (let done = 0; done < backlog; done += 1_000) {
    const batch = Array.from({ length: Math.min(1_000, backlog - done) }, (_, i) => ({
      name: "waiting",
      data: { number: done + i, result: i * i },
    }))
    await post(base, clientId, batch)
  }
}

const post = async (base: string, clientId: string, batch: ReadonlyArray<object>): Promise<void> => {
  const response = await fetch(`${base}/v1/clients/${clientId}/messages`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(batch),
  })
  if (!response.ok) throw new Error(`messages were answered ${response.status}: ${await response.text()}`)
  await response.text()
}

/** A barrier of any client of the same partition comes back after everything before it: that is what LIVE says. */
export const pipelineIsEmpty = async (server: Server, clientId: string, partitions: number): Promise<void> => {
  const [mate] = partitionMates(clientId, partitions, 1)
  const client = await connect({ server, clientId: mate!, underWay: 0 })
  client.terminate()
}

/** Other clients of the same partition. */
const partitionMates = (clientId: string, partitions: number, count: number): ReadonlyArray<string> => {
  const mates: Array<string> = []
  for (let i = 0; mates.length < count; i++) {
    const mate = `mate-of-${clientId}-${i}`
    if (partitionOf(mate, partitions) === partitionOf(clientId, partitions)) mates.push(mate)
  }
  return mates
}

const drain = (server: Server, clientId: string, backlog: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const from = performance.now()
    const onResults = (_: number, client: LoadClient) => {
      if (client.received < backlog) return
      resolve((backlog / (performance.now() - from)) * 1000)
      expectOrder([client])
      client.terminate()
    }
    connect({ server, clientId, underWay: 0, onResults }).catch(reject)
  })

/** From the first byte of the handshake to LIVE, nothing waiting, one after the other: [p50, p99] in ms. */
export const connectToLive = async (server: Server, times: number): Promise<readonly [number, number]> => {
  const times_ms: Array<number> = []
  for (let i = 0; i < times; i++) {
    const from = performance.now()
    const client = await connect({ server, clientId: `connect-${i}`, underWay: 0 })
    times_ms.push(performance.now() - from)
    client.terminate()
  }
  return [quantile(times_ms, 0.5), quantile(times_ms, 0.99)]
}

/** The same for one client to whom messages never end: 100 a second, for as long as it is measured. */
export const connectUnderTraffic = async (
  { base, server }: Running,
  times: number,
): Promise<readonly [number, number]> => {
  const clientId = "busy"
  const times_ms: Array<number> = []
  const over = new AbortController()
  const traffic = (async () => {
    while (!over.signal.aborted) {
      await post(base, clientId, [{ name: "traffic", data: null }])
      await sleep(10)
    }
  })()
  await sleep(warm_up_ms)
  for (let i = 0; i < times; i++) {
    const from = performance.now()
    const client = await connect({ server, clientId, underWay: 0 })
    times_ms.push(performance.now() - from)
    client.terminate()
  }
  over.abort()
  await traffic
  return [quantile(times_ms, 0.5), quantile(times_ms, 0.99)]
}

export interface BesideReplay {
  readonly alone: readonly [number, number]
  readonly paced: readonly [number, number]
  readonly flatOut: readonly [number, number]
  readonly busy: readonly [number, number]
}

/** What a phone on a good line takes. */
const paced_per_second = 20_000

/**
 * Times of a live client at 200 events/s: alone; while other clients of its partition take a backlog each, at a pace and
 * as fast as they can; and while nothing is replayed but every core has a thread that never rests. The last tells what
 * of the third is the machine's: a reader that goes flat out takes all the time of a small one.
 */
export const besideReplay = async (
  { base, server }: Running,
  backlog: number,
  partitions: number,
): Promise<BesideReplay> => {
  const clientId = "beside"
  const mates = partitionMates(clientId, partitions, 5)
  for (const mate of mates) await fill(base, mate, backlog)
  const live = await connect({ server, clientId, underWay: 0, isTimed: true })
  await timesDuring(live, sleep(warm_up_ms))
  const alone = await timesDuring(live, sleep(measure_ms))
  const [first, ...rest] = mates
  const paced = await timesDuring(live, drainElsewhere(server, first!, backlog, paced_per_second))
  const oneAfterTheOther = async () => {
    for (const mate of rest) await drainElsewhere(server, mate, backlog)
  }
  const flatOut = await timesDuring(live, oneAfterTheOther())
  const busy = await timesDuring(live, whileCoresAreBusy(sleep(measure_ms)))
  live.terminate()
  return { alone, paced, flatOut, busy }
}

const whileCoresAreBusy = async (during: Promise<void>): Promise<void> => {
  const threads = Array.from({ length: availableParallelism() }, () => new Worker("for (;;);", { eval: true }))
  await during
  for (const thread of threads) await thread.terminate()
}

const drainElsewhere = (server: Server, clientId: string, backlog: number, per_second?: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("drain.ts", import.meta.url), {
      workerData: { url: server.url(clientId), backlog, per_second },
    })
    worker.once("error", reject)
    worker.once("exit", () => resolve())
  })

const timesDuring = async (client: LoadClient, during: Promise<void>): Promise<readonly [number, number]> => {
  client.latencies_ms.length = 0
  const sending = setInterval(() => client.send(), 5)
  await during.finally(() => clearInterval(sending))
  return [quantile(client.latencies_ms, 0.5), quantile(client.latencies_ms, 0.99)]
}

/** Results per second from the results topic, where they wait, to live clients; the median of three times. */
export const resultsLeg = async (cluster: Cluster, clients: number, results: number): Promise<number> => {
  const ids = Array.from({ length: clients }, (_, i) => `leg-${i}`)
  const rates: Array<number> = []
  const all = await Promise.all(ids.map((clientId) => connect({ server: cluster.server, clientId, underWay: 0 })))
  const count = () => all.reduce((sum, { received }) => sum + received, 0)
  for (let run = 0; run < 3; run++) {
    const before = count()
    await cluster.whilePaused(async () => {
      // Less than the window of a client each.
      for (const id of ids) await fill(cluster.base, id, results / clients)
      await sleep(1_000)
    })
    if (count() > before) throw new Error("results came through while the pipeline was paused")
    const from = performance.now()
    while (count() - before < results) await sleep(5)
    rates.push((results / (performance.now() - from)) * 1000)
  }
  expectOrder(all)
  for (const client of all) client.terminate()
  return quantile(rates, 0.5)
}

/** Resident bytes per connection that says nothing. */
export const idleMemory = async ({ rss, server }: Running, connections: number): Promise<number> => {
  const open = async (from: number, to: number) => {
    const all: Array<LoadClient> = []
    for (let i = from; i < to; i += 50) {
      const batch = Array.from({ length: Math.min(50, to - i) }, (_, j) =>
        connect({ server, clientId: `idle-${i + j}`, underWay: 0 }),
      )
      all.push(...(await Promise.all(batch)))
    }
    return all
  }
  // First some that are not counted, so that what a server has once (code, the young generation) is there already.
  const first = await open(0, uncounted)
  await sleep(1_000)
  const before = rss()
  const rest = await open(uncounted, uncounted + connections)
  await sleep(2_000)
  const each = (rss() - before) / connections
  for (const client of [...first, ...rest]) client.terminate()
  return each
}

const expectOrder = (clients: ReadonlyArray<LoadClient>): void => {
  const wrong = clients.reduce((sum, { outOfOrder }) => sum + outOfOrder, 0)
  if (wrong > 0) throw new Error(`${wrong} results were out of order or came twice`)
}
