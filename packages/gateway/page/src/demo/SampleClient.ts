/**
 * A client of this page: the SDK as any application has it, behind a connection that can be cut.
 *
 * It sends a number to be squared once a second, and holds what it gets against what it must get.
 */
import { connect } from "@nimbus/client"
import { type ReadonlySignal, signal } from "@preact/signals"
import type { Frames, Status } from "@nimbus/domain/protocol"
import { pageLimits } from "../Limits.ts"
import { Account } from "./Account.ts"
import { makeConnection } from "./Connection.ts"
import { makeThrottle } from "./throttle.ts"

export interface SampleView {
  readonly status: Status.StatusName
  readonly isCut: boolean
  readonly sent: number
  readonly received: number
  readonly missing: number
  readonly repeated: number
  /** The newest result. */
  readonly lastSeq: number | undefined
  /** Why it has stopped for good. */
  readonly fault: string | undefined
}

export interface SampleClient {
  readonly clientId: string
  readonly view: ReadonlySignal<SampleView>
  cut(): void
  bringBack(): void
  /** The first number of its next so many messages. */
  takeNumbers(count: number): number
  /** Sends an event whose handler takes so long; done with its result. */
  slow(ms: number): Promise<void>
  /** Sends the event of a task that answers with the words of a text. One at a time. */
  stream(text: string, every_ms: number): AsyncIterable<unknown>
  /** Of the task that streams. */
  readonly openTask: string | undefined
  cancelStream(): void
  /** Copies what was counted since the last time into `view`: results come too fast to draw each. */
  refresh(): void
  stop(): Promise<void>
}

const unused: SampleView = {
  status: "OFFLINE",
  isCut: false,
  sent: 0,
  received: 0,
  missing: 0,
  repeated: 0,
  lastSeq: undefined,
  fault: undefined,
}

export const startSample = async (
  clientId: string,
  onStatus: (status: Status.StatusName) => void,
): Promise<SampleClient> => {
  const view = signal(unused)
  const change = (part: Partial<SampleView>) => (view.value = { ...view.value, ...part })
  const account = new Account()
  const connection = makeConnection()
  const throttle = makeThrottle(pageLimits.sample_results_per_s)
  let lastSeq: number | undefined
  const client = await connect({
    url: location.origin,
    clientId,
    journey: true,
    WebSocket: connection.WebSocket,
    limits: { reconnect_max_ms: pageLimits.sample_reconnect_max_ms },
    onStatus: (status) => {
      change({ status })
      onStatus(status)
    },
    onResult: (result) => {
      account.note(result.name, numberOf(result))
      lastSeq = result.seq
      return throttle()
    },
  })
  client.closed.catch((error: unknown) => change({ fault: error instanceof Error ? error.message : String(error) }))

  // One event under way at most: while the connection is cut, the next one waits for the answer to the last.
  let number = 0
  let isWaiting = false
  const send = () => {
    if (isWaiting) return
    isWaiting = true
    client.send("sq", { number: ++number }).then(
      () => (isWaiting = false),
      (error: unknown) => change({ fault: String(error) }),
    )
  }
  const timer = setInterval(send, pageLimits.sample_every_ms)
  send()

  let messages = 0
  let openTask: string | undefined
  async function* stream(text: string, every_ms: number) {
    const parts = client.stream("stream", { text, every_ms })
    openTask = parts.id
    try {
      yield* parts
    } finally {
      openTask = undefined
    }
  }
  return {
    clientId,
    view,
    slow: async (ms) => {
      const { error } = await client.request("slow", { ms })
      if (error !== undefined) throw new Error(error.message)
    },
    stream,
    get openTask() {
      return openTask
    },
    cancelStream: () => {
      if (openTask !== undefined) void client.cancel(openTask)
    },
    cut: () => {
      connection.cut()
      change({ isCut: true })
    },
    bringBack: () => {
      connection.mend()
      change({ isCut: false })
    },
    takeNumbers: (count) => {
      messages += count
      return messages - count + 1
    },
    refresh: () => {
      const { missing, received, repeated } = account
      if (received !== view.value.received || number !== view.value.sent) {
        change({ missing, received, repeated, sent: number, lastSeq })
      }
    },
    stop: () => {
      clearInterval(timer)
      return client.close()
    },
  }
}

/** It stands in the data of every event and message of the page. */
const numberOf = ({ data }: Frames.ResultItem): number | undefined =>
  typeof data === "object" && data !== null && "number" in data && typeof data["number"] === "number"
    ? data["number"]
    : undefined
