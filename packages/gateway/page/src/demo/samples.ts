/** The sample clients of this page: bounded, and gone with it. */
import { signal } from "@preact/signals"
import { pageLimits } from "../Limits.ts"
import { announce } from "../state/announce.ts"
import { type SampleClient, startSample } from "./SampleClient.ts"

export const samples = signal<ReadonlyArray<SampleClient>>([])
export const isStarting = signal(false)

/** So that two pages have different clients. */
const family = crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36).slice(0, 4)
let started = 0
let timer: ReturnType<typeof setInterval> | undefined

export const startSamples = async (count: number): Promise<void> => {
  isStarting.value = true
  timer ??= setInterval(() => samples.value.forEach((sample) => sample.refresh()), pageLimits.sample_refresh_ms)
  try {
    for (let n = Math.min(count, pageLimits.samples - samples.value.length); n > 0; n--) {
      const clientId = `demo-${family}-${++started}`
      const isFirst = samples.value.length === 0
      // One of many is enough to be told of, and it is the one that the story is about.
      const sample = await startSample(clientId, (status) => {
        if (isFirst) announce(`${clientId} is ${status}`)
      })
      samples.value = [...samples.value, sample]
    }
  } finally {
    isStarting.value = false
  }
}

export const stopSamples = async (): Promise<void> => {
  const stopped = samples.value
  samples.value = []
  clearInterval(timer)
  timer = undefined
  await Promise.all(stopped.map((sample) => sample.stop()))
}
