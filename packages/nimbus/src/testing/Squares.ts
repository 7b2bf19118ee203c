/** Clients that send numbers to be squared, and the numbers whose squares they were shown. */
import { type Client, type Delivery, isLost } from "@nimbus/client"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Option, Schema } from "effect"

/** 1 to `n`: what `shown` must be in the end. */
export const oneTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i + 1)

interface EventsOptions {
  /** The handler: default `sq`. */
  readonly name?: string
  /** Named ones may be sent again, in this life of a client or the next. Default: no. */
  readonly hasIds?: boolean
}

/** The events for the numbers from `first` to `last`. */
export const events = (
  first: number,
  last: number,
  { hasIds = false, name = "sq" }: EventsOptions = {},
): ReadonlyArray<Client.NewEvent> =>
  Array.from({ length: last - first + 1 }, (_, i) => {
    const number = first + i
    return hasIds ? { id: `n${number}`, name, data: { number } } : { name, data: { number } }
  })

/** Sends the numbers in batches, each once the one before is accepted. */
export const sendNumbers = (client: Client.Client, from: number, to: number, batch = 50) =>
  Effect.gen(function* () {
    for (let first = from; first <= to; first += batch) {
      yield* client.sendAll(events(first, Math.min(to, first + batch - 1)))
    }
  })

/** Takes what comes, as long as the client lives. */
export const show = (client: Client.Client, shown: Array<number>) =>
  client.run((delivery) => Effect.sync(() => shown.push(numberOf(delivery))))

const decode = Schema.decodeUnknownOption(Schema.Struct({ result: Schema.Int }))

/** The number whose square came; NaN for anything else. */
export const numberOf = (delivery: Delivery): number =>
  Option.match(decode(isLost(delivery) ? undefined : delivery.data), {
    onNone: () => Number.NaN,
    onSome: ({ result }) => Math.sqrt(result),
  })

/** Long enough for a machine that is busy with other tests. */
const patience_ms = 60_000

/** Waits until so many were shown. */
export const hasShown = (shown: ReadonlyArray<number>, count: number) =>
  eventually(
    `${count} results`,
    Effect.sync(() => shown.length >= count),
    patience_ms,
  )

export const isLive = (client: Client.Client) =>
  eventually(
    `${client.clientId} is LIVE`,
    Effect.map(client.currentStatus, (status) => status === "LIVE"),
    patience_ms,
  )
