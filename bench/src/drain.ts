/**
 * A client on a thread of its own that takes what waits for it, as fast as it can or at a pace: nobody whose times are
 * measured shares its event loop.
 */
import { workerData } from "node:worker_threads"
import { connect, type LoadClient } from "./Load.ts"

interface Task {
  readonly url: string
  readonly backlog: number
  /** Results per second at most; `undefined`: as fast as they come. */
  readonly per_second: number | undefined
}

const { backlog, per_second, url }: Task = workerData
const server = { name: "nimbus", url: () => url, protocol: "nimbus" } as const

const onResults = (_: number, client: LoadClient) => {
  if (client.received < backlog) return keepPace(client)
  if (client.outOfOrder > 0) throw new Error(`${client.outOfOrder} results were out of order or came twice`)
  // Of this thread only.
  process.exit(0)
}

const from = performance.now()
const keepPace = (client: LoadClient) => {
  const ahead_ms = per_second === undefined ? 0 : (client.received / per_second) * 1000 - (performance.now() - from)
  if (ahead_ms > 0) client.pause(ahead_ms)
}
await connect({ server, clientId: "", underWay: 0, onResults })
