/**
 * The sample clients of this page: bounded, and gone with it. Nobody can come back by their names, so the gateway is asked to
 * forget them: otherwise each page that was ever open would leave clients that are OFFLINE for good.
 */
import { signal } from "@preact/signals"
import { token } from "../api/token.ts"
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
  const names = stopped.map(({ clientId }) => clientId)
  if (names.length === 0) return
  // At once, for a page that goes does nothing later.
  const cancelled = stopped.map(({ clientId, openTask }) => cancel(clientId, openTask))
  for (const sample of stopped) sample.cut()
  await Promise.all([...cancelled, ...stopped.map((sample) => sample.stop()), forget(names)])
}

/** A task goes on without its client: nobody would read what it has still to say. */
const cancel = async (clientId: string, id: string | undefined): Promise<void> => {
  if (id === undefined) return
  await post(`/v1/admin/clients/${encodeURIComponent(clientId)}/cancel`, { id }).catch(() => undefined)
}

/** `keepalive`: the page may be on its way out, and the request outlives it. */
const post = (path: string, body: object): Promise<Response> =>
  fetch(path, {
    method: "POST",
    keepalive: true,
    headers: {
      "content-type": "application/json",
      ...(token.value === undefined ? {} : { authorization: `Bearer ${token.value}` }),
    },
    body: JSON.stringify(body),
  })

const forget = (clientIds: ReadonlyArray<string>): Promise<void> =>
  post("/v1/admin/forget", { clientIds }).then(
    ({ ok, status }) => announce(ok ? "The sample clients are gone" : `${notForgotten} It answered ${status}.`),
    () => announce(notForgotten),
  )

const notForgotten = "The gateway does not forget the sample clients: they stay in its list."

addEventListener("pagehide", () => void stopSamples())
