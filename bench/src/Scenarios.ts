/** What is measured. Each takes a running server and answers its figures. */
import { type LoadClient, connect, quantile, type Server, sleep } from "./Load.ts"
import type { Running } from "./Processes.ts"
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

/** Messages to a client that is not there, in batches. */
const fill = async (base: string, clientId: string, backlog: number): Promise<void> => {
  for (let done = 0; done < backlog; done += 1_000) {
    const batch = Array.from({ length: 1_000 }, (_, i) => ({
      name: "waiting",
      data: { number: done + i, result: i * i },
    }))
    const response = await fetch(`${base}/v1/clients/${clientId}/messages`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(batch),
    })
    if (!response.ok) throw new Error(`messages were answered ${response.status}: ${await response.text()}`)
    await response.text()
  }
}

/** A barrier of any client of the same partition comes back after everything before it: that is what LIVE says. */
const pipelineIsEmpty = async (server: Server, clientId: string, partitions: number): Promise<void> => {
  let probe = 0
  while (partitionOf(`probe-${probe}`, partitions) !== partitionOf(clientId, partitions)) probe++
  const client = await connect({ server, clientId: `probe-${probe}`, underWay: 0 })
  client.terminate()
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
