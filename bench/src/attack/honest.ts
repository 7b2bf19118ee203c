/**
 * The honest client, in a process of its own: by the SDK, an event each 50 ms, whether those before were answered or not.
 * Asked for a window, it waits until all that was sent has been shown.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { type Connected, connect } from "@nimbus/client"
import { Schema } from "effect"
import { until } from "../../../scripts/services/Tools.ts"
import type { Server } from "../fuzz/Server.ts"
import { HonestOrder, type Window } from "./Talks.ts"
import { Tally } from "./Tally.ts"

const event_every_ms = 50
const patience_ms = 60_000

const tally = new Tally()
const delay = monitorEventLoopDelay({ resolution: 10 })
delay.enable()

const numberOf = (data: unknown): unknown =>
  typeof data === "object" && data !== null && "number" in data ? data.number : undefined

const begin = async ({ http }: Server["ports"]): Promise<Connected> => {
  const client = await connect({
    url: `ws://127.0.0.1:${http}/v1/stream`,
    clientId: "honest",
    onResult: ({ data }) => tally.show(numberOf(data), performance.now()),
    // What is lost is missing in the tally.
    onLost: () => {},
  })
  if (!(await until(() => client.status === "LIVE", patience_ms))) throw new Error("the honest client is not LIVE")
  setInterval(() => {
    const number = tally.send(performance.now())
    client.send("sq", { number }).catch(() => void tally.refused++)
  }, event_every_ms)
  return client
}

const opened = { order: "opened" }

const closeWindow = async ({ stats }: Connected): Promise<Window> => {
  tally.closeWindow()
  const own_stall_ms = delay.max / 1e6
  await until(() => tally.isSettled, patience_ms)
  const { disordered, refused, repeated } = tally
  return { ...tally.window(), disordered, refused, repeated, own_stall_ms, connections: stats.connections }
}

const decode = Schema.decodeUnknownSync(HonestOrder)
let client: Connected | undefined

process.on("message", async (message) => {
  const order = decode(message)
  if (order.order === "begin") client = await begin(order.ports)
  if (client === undefined) throw new Error("there is no client yet")
  if (order.order === "close window") return void process.send?.(await closeWindow(client))
  tally.openWindow()
  delay.reset()
  process.send?.(opened)
})
process.once("disconnect", () => process.exit())
