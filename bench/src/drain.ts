/** A client on a thread of its own that takes what waits for it: nobody whose times are measured shares its event loop. */
import { workerData } from "node:worker_threads"
import { connect, type LoadClient } from "./Load.ts"

const { backlog, url }: { readonly backlog: number; readonly url: string } = workerData
const server = { name: "nimbus", url: () => url, protocol: "nimbus" } as const

const onResults = (_: number, client: LoadClient) => {
  if (client.received < backlog) return
  if (client.outOfOrder > 0) throw new Error(`${client.outOfOrder} results were out of order or came twice`)
  // Of this thread only.
  process.exit(0)
}
await connect({ server, clientId: "", underWay: 0, onResults })
