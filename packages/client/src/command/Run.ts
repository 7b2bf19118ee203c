/**
 * One run of the sample client: sends `sq` events for the numbers from `start` to `end` and waits for their results.
 *
 * It sends events in batches, each after the previous one was accepted, so that it measures the system and not a queue
 * of its own. Results of earlier runs, and messages, may arrive too. They are shown and not counted.
 */
import type { Frames } from "@nimbus/domain/protocol"
import { Clock, Deferred, Effect, Random, Stream } from "effect"
import type { Client, NewEvent } from "../Client.ts"
import { type Delivery, isLost, type Stats } from "../Core.ts"
import type { ClientError, EventInvalid } from "../Errors.ts"
import type { Display } from "./Display.ts"
import { milliseconds, type Summary } from "./Summary.ts"

export interface RunOptions {
  readonly start: number
  readonly end: number
  /** The longest time of the whole run. Beyond: results that have not arrived count as missing. */
  readonly timeout_ms: number
}

const batch_events = 256

/** Fails only if the client stops. Missing results are in the summary. */
export const run = Effect.fn("ClientCommand.run")(function* (
  client: Client,
  { end, start, timeout_ms }: RunOptions,
  display: Display,
): Effect.fn.Return<Summary, ClientError | EventInvalid> {
  const total = Math.max(0, end - start + 1)
  const tally = new Tally(yield* Clock.Clock, yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER))
  const complete = yield* Deferred.make<void>()
  const check = Effect.flatMap(client.stats, ({ refused }) => {
    display.progress(tally.received, total)
    return tally.received + refused < total ? Effect.void : Deferred.succeed(complete, undefined)
  })
  const receiving = client.run((delivery) => {
    display.line(tally.take(delivery))
    return check
  })
  const sending = Effect.gen(function* () {
    yield* Stream.runHead(Stream.filter(client.status, (status) => status !== "OFFLINE"))
    for (let first = start; first <= end; first += batch_events) {
      const events = tally.events(first, Math.min(end, first + batch_events - 1))
      yield* Effect.catchTag(client.sendAll(events), "EventRefused", ({ id, refusal }) =>
        Effect.sync(() => display.line(`${id} refused: ${refusal.code} ${refusal.message}`)),
      )
    }
    yield* check
    yield* Deferred.await(complete)
    // The last step of the consumer completes the run. It must end first, so that its delivery counts as processed.
    yield* Effect.yieldNow
  })
  yield* Effect.timeoutOption(Effect.raceFirst(sending, receiving), timeout_ms)
  display.end()
  return tally.summary(total, yield* client.stats)
})

/** The events that were sent, with their times and results. */
class Tally {
  received = 0
  private failed = 0
  private repeated = 0
  private outOfOrder = 0
  private last = Number.NEGATIVE_INFINITY
  private readonly latencies_ms: Array<number> = []
  private readonly sent = new Map<string, { readonly number: number; readonly at_ns: bigint; isAnswered: boolean }>()
  private readonly clock: Clock.Clock
  private readonly prefix: string

  constructor(clock: Clock.Clock, random: number) {
    this.clock = clock
    this.prefix = random.toString(36)
  }

  events(first: number, last: number): ReadonlyArray<NewEvent> {
    const at_ns = this.clock.currentTimeNanosUnsafe()
    const events: Array<NewEvent> = []
    for (let number = first; number <= last; number++) {
      const id = `${this.prefix}-${number}`
      this.sent.set(id, { number, at_ns, isAnswered: false })
      events.push({ id, name: "sq", data: { number } })
    }
    return events
  }

  /** Counts a delivery, and returns its line. */
  take(delivery: Delivery): string {
    if (isLost(delivery)) return `lost: results after ${delivery.after}${upTo(delivery.upTo)} (${delivery.reason})`
    const event = this.sent.get(delivery.id)
    if (event === undefined) return `${delivery.name} ${delivery.id}: ${contentOf(delivery)} (not of this run)`
    if (event.isAnswered) {
      this.repeated += 1
      return `sq(${event.number}): ${contentOf(delivery)}, for the second time`
    }
    event.isAnswered = true
    const took_ms = Number(this.clock.currentTimeNanosUnsafe() - event.at_ns) / 1e6
    this.received += 1
    this.latencies_ms.push(took_ms)
    if (delivery.error !== undefined) this.failed += 1
    if (event.number < this.last) this.outOfOrder += 1
    this.last = event.number
    return `sq(${event.number}): ${contentOf(delivery)}, seq ${delivery.seq}, ${milliseconds(took_ms)}`
  }

  summary(total: number, stats: Stats): Summary {
    return {
      sent: stats.sent,
      accepted: stats.accepted,
      refused: stats.refused,
      received: this.received,
      failed: this.failed,
      missing: total - this.received,
      repeatsDropped: stats.repeats,
      repeated: this.repeated,
      outOfOrder: stats.outOfOrder + this.outOfOrder,
      latencies_ms: this.latencies_ms,
    }
  }
}

const upTo = (seq: number | undefined): string => (seq === undefined ? "" : ` up to ${seq}`)

const contentOf = ({ data, error }: Frames.ResultItem): string =>
  error === undefined ? JSON.stringify(data) : `error ${error.code}: ${error.message}`
