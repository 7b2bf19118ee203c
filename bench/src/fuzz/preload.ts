/**
 * Loaded into the attacked server with `--import`, beside `--expose-gc`. Asked, it collects garbage first, so that the
 * memory which is then measured is held by something, and tells how long the event loop stood still since it was asked
 * the last time.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"

const delay = monitorEventLoopDelay({ resolution: 10 })
delay.enable()

process.on("message", () => {
  const { max } = delay
  delay.reset()
  globalThis.gc?.()
  // The bytes of buffers go with the collection after that of their buffers.
  setImmediate(() => {
    globalThis.gc?.()
    process.send?.({ longest_delay_ms: max / 1e6 })
  })
})
// It must not keep alive a process that wants to end.
process.channel?.unref()
