/**
 * Loaded into each process under test, before its program: a clock that can be shifted, and measurements of the process.
 *
 * - SIGUSR2 sets the wall clock an hour ahead, an hour behind, and right again, in turn. Timers go on as they do when
 *   somebody sets the clock of a machine: they follow the monotonic clock.
 * - Each second a line `<rss_bytes> <loop_delay_ms>` is appended to the file that CHAOS_SAMPLES names.
 */
import { appendFileSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"

const hour_ms = 3_600_000
const shifts_ms = [0, hour_ms, -hour_ms]
const sample_every_ms = 1_000

let shift = 0
const RealDate = globalThis.Date
const now = () => RealDate.now() + (shifts_ms[shift] ?? 0)

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: ReadonlyArray<unknown>, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  get: (target, key, receiver) => (key === "now" ? now : Reflect.get(target, key, receiver)),
})

process.on("SIGUSR2", () => {
  shift = (shift + 1) % shifts_ms.length
})

const file = process.env["CHAOS_SAMPLES"]
if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  setInterval(() => {
    const loopDelay_ms = Math.max(0, delay.percentile(99) / 1e6 - 10)
    delay.reset()
    appendFileSync(file, `${process.memoryUsage.rss()} ${loopDelay_ms.toFixed(1)}\n`)
  }, sample_every_ms).unref()
}
