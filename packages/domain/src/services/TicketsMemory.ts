/** Tickets in memory: for one process, which alone redeems what it has issued. */
import { Clock, Effect, Layer, Option } from "effect"
import { type TicketLimits, ticketLimits } from "../Limits.ts"
import { registerSize } from "../observability/MemoryGauges.ts"
import { RandomIds } from "./RandomIds.ts"
import { Tickets } from "./Tickets.ts"

interface Waiting {
  readonly value: string
  readonly ends_ms: number
}

/** Tickets that live as long as the layer. */
export const layerMemory = (limits: Partial<TicketLimits> = {}): Layer.Layer<Tickets> =>
  Layer.effect(
    Tickets,
    Effect.suspend(() => make({ ...ticketLimits, ...limits })),
  )

const make = Effect.fnUntraced(function* ({ ticket_ms, tickets_waiting }: TicketLimits) {
  const ids = yield* RandomIds
  const clock = yield* Clock.Clock
  /** The oldest first, which is the first to end. */
  const waiting = new Map<string, Waiting>()
  yield* registerSize("tickets", {
    get size() {
      return { waiting: waiting.size }
    },
  })

  const dropEnded = (now_ms: number): void => {
    for (const [ticket, { ends_ms }] of waiting) {
      if (ends_ms > now_ms && waiting.size < tickets_waiting) return
      waiting.delete(ticket)
    }
  }

  return Tickets.of({
    issue: (value) =>
      Effect.sync(() => {
        const now_ms = clock.currentTimeMillisUnsafe()
        dropEnded(now_ms)
        const ticket = ids.uuid()
        waiting.set(ticket, { value, ends_ms: now_ms + ticket_ms })
        return ticket
      }),
    redeem: (ticket) =>
      Effect.sync(() => {
        const found = waiting.get(ticket)
        waiting.delete(ticket)
        return found !== undefined && found.ends_ms > clock.currentTimeMillisUnsafe()
          ? Option.some(found.value)
          : Option.none()
      }),
  })
})
