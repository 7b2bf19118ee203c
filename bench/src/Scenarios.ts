/**
 * What is measured. Each takes a running server and returns what it measured, once; the caller does so three times.
 * Clients have ids of their own each time: a client that comes again soon is made to wait, and its mailbox may hold
 * what the last time left.
 */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { type LoadClient, type LoadOptions, connect, quantile, type Server, sleep } from "./Load.ts"
import type { Cluster, Running } from "./Processes.ts"
import { partitionOf } from "@nimbus/domain/protocol"

const warm_up_ms = 2_000
const measure_ms = 5_000
/** What waits for its answer when a measurement ends may take this long, and is counted. */
const patience_ms = 60_000
const connects_at_once = 50

let runs = 0
/** A prefix for client ids that no other measurement has. */
const fresh = (what: string): string => `${what}-${runs++}`

const connectAll = async (
  count: number,
  one: (i: number) => Promise<LoadClient>,
): Promise<ReadonlyArray<LoadClient>> => {
  const all: Array<LoadClient> = []
  while (all.length < count) {
    const batch = Math.min(connects_at_once, count - all.length)
    all.push(...(await Promise.all(Array.from({ length: batch }, (_, i) => one(all.length + i)))))
  }
  return all
}

/** Results per second with `clients` clients, each with `underWay` events on their way. */
export const live = async (
  server: Server,
  clients: number,
  underWay: number,
  options: Pick<LoadOptions, "name"> & { readonly measure_ms?: number } = {},
): Promise<number> => {
  const run = fresh("live")
  const all = await connectAll(clients, (i) =>
    connect({ server, clientId: `${run}-${i}`, underWay, first: i * spread, ...options }),
  )
  await sleep(warm_up_ms)
  const count = () => all.reduce((sum, { received }) => sum + received, 0)
  const [before, from] = [count(), performance.now()]
  await sleep(options.measure_ms ?? measure_ms)
  const rate = ((count() - before) / (performance.now() - from)) * 1000
  expectOrder(all)
  for (const client of all) client.terminate()
  return rate
}

/** Clients that send numbers in a row begin this far from each other. */
const spread = 37

/**
 * End-to-end times at an even load over ten clients: [p50, p99] in ms. A time counts from when the event was due, so
 * that a sender that is held up does not hide what it waited for; and every event is waited for.
 */
export const latency = async (server: Server, per_second: number): Promise<readonly [number, number]> => {
  const run = fresh("latency")
  const clients = await connectAll(10, (i) => connect({ server, clientId: `${run}-${i}`, underWay: 0, isTimed: true }))
  const from = performance.now()
  let sent = 0
  while (performance.now() - from < measure_ms + warm_up_ms) {
    const due = ((performance.now() - from) * per_second) / 1000
    while (sent < due) {
      clients[sent % clients.length]!.send(from + (sent * 1000) / per_second)
      sent++
    }
    await sleep(1)
  }
  const answered = () => clients.reduce((sum, { received }) => sum + received, 0)
  await untilTrue(`all of ${sent} events are answered`, () => answered() === sent)
  expectOrder(clients)
  // The first seconds are warm-up.
  const share = warm_up_ms / (warm_up_ms + measure_ms)
  const times = clients.flatMap(({ latencies_ms }) => latencies_ms.slice(latencies_ms.length * share))
  for (const client of clients) client.terminate()
  return [quantile(times, 0.5), quantile(times, 0.99)]
}

const untilTrue = async (what: string, isTrue: () => boolean): Promise<void> => {
  const from = performance.now()
  while (!isTrue()) {
    if (performance.now() - from > patience_ms) throw new Error(`waited ${patience_ms} ms until ${what}`)
    await sleep(5)
  }
}

/** Results per second of one client that finds `backlog` results waiting. */
export const replay = async (
  { base, server }: Pick<Running, "base" | "server">,
  backlog: number,
  partitions: number,
): Promise<number> => {
  const clientId = fresh("replay")
  await fill(base, clientId, backlog)
  await pipelineIsEmpty(server, clientId, partitions)
  return drain(server, clientId, backlog)
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
  const run = fresh("connect")
  const times_ms: Array<number> = []
  for (let i = 0; i < times; i++) {
    const from = performance.now()
    const client = await connect({ server, clientId: `${run}-${i}`, underWay: 0 })
    times_ms.push(performance.now() - from)
    client.terminate()
  }
  return [quantile(times_ms, 0.5), quantile(times_ms, 0.99)]
}

/** Messages for a client before it comes, and how long they come for. */
const traffic_before_ms = 300
const traffic_every_ms = 10

/**
 * The same for a client to whom messages never end: 100 a second, from before it comes until it is LIVE. Each time it
 * is another client: one that came again within a second would be made to wait for its turn, and that is no latency.
 */
export const connectUnderTraffic = async (
  { base, server }: Pick<Running, "base" | "server">,
  times: number,
): Promise<readonly [number, number]> => {
  const run = fresh("busy")
  const times_ms: Array<number> = []
  for (let i = 0; i < times; i++) {
    const clientId = `${run}-${i}`
    const traffic = sendEndlessly(base, clientId)
    await sleep(traffic_before_ms)
    const from = performance.now()
    const client = await connect({ server, clientId, underWay: 0 })
    times_ms.push(performance.now() - from)
    await traffic.stop()
    client.terminate()
  }
  return [quantile(times_ms, 0.5), quantile(times_ms, 0.99)]
}

const sendEndlessly = (base: string, clientId: string) => {
  const over = new AbortController()
  const sending = (async () => {
    while (!over.signal.aborted) {
      await post(base, clientId, [{ name: "traffic", data: null }])
      await sleep(traffic_every_ms)
    }
  })()
  return {
    stop: () => {
      over.abort()
      return sending
    },
  }
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
 * Times of a live client at 200 events/s: alone; while other clients of its partition take a backlog each, at a pace
 * and as fast as they can; and while nothing is replayed but every core has a thread that never rests. The last tells
 * what of the third is the machine's: a reader that goes flat out takes all the time of a small one.
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

/** Results per second from the results topic, where they wait, to live clients. */
export const resultsLeg = async (cluster: Cluster, clients: number, results: number): Promise<number> => {
  const run = fresh("leg")
  const ids = Array.from({ length: clients }, (_, i) => `${run}-${i}`)
  const all = await Promise.all(ids.map((clientId) => connect({ server: cluster.server, clientId, underWay: 0 })))
  const count = () => all.reduce((sum, { received }) => sum + received, 0)
  await cluster.whilePaused(async () => {
    // Less than the window of a client each.
    for (const id of ids) await fill(cluster.base, id, results / clients)
    await sleep(1_000)
  })
  if (count() > 0) throw new Error("results came through while the pipeline was paused")
  const from = performance.now()
  await untilTrue(`${results} results are here`, () => count() >= results)
  const rate = (results / (performance.now() - from)) * 1000
  expectOrder(all)
  for (const client of all) client.terminate()
  return rate
}

/**
 * Resident bytes for each connection that says nothing, of a server that has just started and had none: all that it has
 * grown by. What it needs once, as compiled code, is in it, so it is an upper bound; and the more connections, the
 * closer. A difference between two states of a server that has worked already may be anything, for the collector runs
 * when it will.
 */
export const idleMemory = async ({ rss, server }: Running, connections: number): Promise<number> => {
  const run = fresh("idle")
  const before = rss()
  const all = await connectAll(connections, (i) => connect({ server, clientId: `${run}-${i}`, underWay: 0 }))
  await sleep(settle_ms)
  const grown = rss() - before
  for (const client of all) client.terminate()
  if (grown <= 0) throw new Error(`${connections} connections cannot make a server smaller: ${grown} bytes`)
  return grown / connections
}

const settle_ms = 2_000

const expectOrder = (clients: ReadonlyArray<LoadClient>): void => {
  const wrong = clients.reduce((sum, { outOfOrder }) => sum + outOfOrder, 0)
  if (wrong > 0) throw new Error(`${wrong} results were out of order or came twice`)
}
