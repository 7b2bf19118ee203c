/**
 * Loaded into the attacked server with `--import`, beside `--expose-gc`. Asked, it collects garbage first, so that the
 * memory which is then measured is held by something, and tells what was since it was asked the last time: how long the
 * event loop stood still, and how much memory there was at most, garbage included. The collections that it makes itself
 * are not counted.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout as sleep } from "node:timers/promises"

/** Of the event loop. */
const resolution_ms = 10
const look_every_ms = 100

const delay = monitorEventLoopDelay({ resolution: resolution_ms })
delay.enable()

/** On V8's heap and beside it, in buffers. */
const memory_bytes = (): number => {
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

let peak_bytes = 0
const look = () => void (peak_bytes = Math.max(peak_bytes, memory_bytes()))
setInterval(look, look_every_ms).unref()

process.on("message", async () => {
  look()
  const told = { longest_delay_ms: delay.max / 1e6, peak_bytes }
  globalThis.gc?.()
  // The bytes of buffers go with the collection after that of their buffers.
  await sleep(resolution_ms)
  globalThis.gc?.()
  await sleep(5 * resolution_ms)
  delay.reset()
  peak_bytes = 0
  const { system, user } = process.cpuUsage()
  process.send?.({ ...told, memory_bytes: memory_bytes(), cpu_ms: (system + user) / 1_000 })
})
// It must not keep alive a process that wants to end.
process.channel?.unref()
