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

const make = Effect.fnUntraced(function* ({ ticket_ms, tickets_bytes, tickets_waiting }: TicketLimits) {
  const ids = yield* RandomIds
  const clock = yield* Clock.Clock
  /** The oldest first, which is the first to end. */
  const waiting = new Map<string, Waiting>()
  /** Of tokens, which are ASCII. */
  let bytes = 0
  yield* registerSize("tickets", {
    get size() {
      return { waiting: waiting.size, bytes }
    },
  })

  const drop = (ticket: string): Waiting | undefined => {
    const dropped = waiting.get(ticket)
    if (waiting.delete(ticket)) bytes -= dropped?.value.length ?? 0
    return dropped
  }
  /** Those that have ended, and as many more as there is no room for beside one of so many bytes. */
  const makeRoom = (next_bytes: number, now_ms: number): void => {
    for (const [ticket, { ends_ms }] of waiting) {
      if (ends_ms > now_ms && waiting.size < tickets_waiting && bytes + next_bytes <= tickets_bytes) return
      drop(ticket)
    }
  }

  return Tickets.of({
    issue: (value) =>
      Effect.sync(() => {
        const now_ms = clock.currentTimeMillisUnsafe()
        makeRoom(value.length, now_ms)
        const ticket = ids.uuid()
        waiting.set(ticket, { value, ends_ms: now_ms + ticket_ms })
        bytes += value.length
        return ticket
      }),
    redeem: (ticket) =>
      Effect.sync(() => {
        const found = drop(ticket)
        return found !== undefined && found.ends_ms > clock.currentTimeMillisUnsafe()
          ? Option.some(found.value)
          : Option.none()
      }),
  })
})
