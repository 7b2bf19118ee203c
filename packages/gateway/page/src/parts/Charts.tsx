/** Throughput and latency over the last minutes. */
import { ms, perSecond, shortMs } from "../format.ts"
import { pulses } from "../state/live.ts"
import { Chart, type Line } from "./Chart.tsx"
import { Panel } from "./Panel.tsx"

const throughput: ReadonlyArray<Line> = [
  { label: "events", colour: "--line-1", of: (pulse) => pulse.topics?.events_per_s },
  { label: "results", colour: "--line-2", dash: [6, 3], of: (pulse) => pulse.topics?.results_per_s },
  { label: "spilled", colour: "--line-3", dash: [2, 3], of: (pulse) => pulse.topics?.dlq_per_s },
  { label: "delivered", colour: "--line-4", dash: [9, 3, 2, 3], of: (pulse) => pulse.delivered_per_s },
]

const latency: ReadonlyArray<Line> = [
  { label: "p50", colour: "--line-1", of: (pulse) => pulse.latency?.p50_ms },
  { label: "p99", colour: "--line-3", dash: [6, 3], of: (pulse) => pulse.latency?.p99_ms },
]

export const Charts = () => (
  <Panel id="charts" title="The last minutes">
    <div class="charts">
      <Chart title="Throughput" pulses={pulses} lines={throughput} format={perSecond} />
      <Chart title="Latency of sampled live events" pulses={pulses} lines={latency} format={ms} axisFormat={shortMs} />
    </div>
  </Panel>
)
