/**
 * The metrics of every process at `/metrics`: memory, processor time, its start, and the delay of its event loop. The
 * standard ones have the names that the clients of Prometheus use.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, Layer, Metric, Schedule } from "effect"

const gauge = (name: string, description: string) => Metric.gauge(name, { description })

const resident = gauge("process_resident_memory_bytes", "The resident memory of the process")
const started = gauge("process_start_time_seconds", "The time of the start, in seconds since 1970")
const processor = Metric.counter("process_cpu_seconds_total", {
  description: "The processor time that the process has used",
  incremental: true,
})
const delayP50 = gauge("nimbus_event_loop_delay_p50_seconds", "How late timers ran in the last 5 s: the median")
const delayP99 = gauge(
  "nimbus_event_loop_delay_p99_seconds",
  "How late timers ran in the last 5 s: the 99th percentile",
)
const delayMax = gauge("nimbus_event_loop_delay_max_seconds", "How late timers ran in the last 5 s: the maximum")

/** The interval of the measurement. The delays are those of one interval. */
const every_ms = 5_000
/** How often the event loop is sampled. Node includes this in the delay. */
const resolution_ms = 10

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* Metric.update(started, Math.round(performance.timeOrigin) / 1000)
    const delay = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const delay = monitorEventLoopDelay({ resolution: resolution_ms })
        delay.enable()
        return delay
      }),
      (delay) => Effect.sync(() => delay.disable()),
    )
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolution_ms / 1000)
    let counted_s = 0
    const look = Effect.gen(function* () {
      const { system, user } = process.cpuUsage()
      const used_s = (system + user) / 1e6
      yield* Metric.update(processor, used_s - counted_s)
      counted_s = used_s
      yield* Metric.update(resident, process.memoryUsage.rss())
      yield* Metric.update(delayP50, late(delay.percentile(50)))
      yield* Metric.update(delayP99, late(delay.percentile(99)))
      yield* Metric.update(delayMax, late(delay.max))
      delay.reset()
    })
    yield* Effect.forkScoped(Effect.repeat(look, Schedule.spaced(every_ms)), { startImmediately: true })
  }),
)
