/**
 * Limits the rate at which one client may open sessions at this gateway. Each session costs a write to the registry and
 * a window of results from the mailbox, which a client that acknowledges nothing is sent every time. With locks each owner
 * that may connect as the client counts by itself.
 *
 * A client may open `openings_in_a_row` sessions at once, and then one each `opening_every_ms`. A request that comes
 * too early waits for its turn, and the existing session continues meanwhile. At most one request of a client waits. A
 * newer request takes its turn over, and the older one is superseded, as it would have been later.
 */
import { Deferred, Effect } from "effect"
import { OpeningSuperseded } from "../Errors.ts"
import type { GatewayLimits } from "../Limits.ts"

type ConnectRateLimits = Pick<GatewayLimits, "openings_in_a_row" | "opening_every_ms">

interface Waiting {
  readonly at_ms: number
  readonly superseded: Deferred.Deferred<never, OpeningSuperseded>
}

/** Done when it is the client's turn. */
export const makeConnectRateLimiter = (limits: ConnectRateLimits, now: () => number) => {
  const rates = new ConnectRates(limits)
  const waiting = new Map<string, Waiting>()

  const waitUntil = (client: string, at_ms: number): Effect.Effect<void, OpeningSuperseded> => {
    const mine: Waiting = { at_ms, superseded: Deferred.makeUnsafe() }
    waiting.set(client, mine)
    return Deferred.await(mine.superseded).pipe(
      // No turn is further away: what seems so was planned under a clock that has gone back since.
      Effect.timeoutOption(Math.min(limits.opening_every_ms, Math.max(0, at_ms - now()))),
      Effect.ensuring(Effect.sync(() => waiting.get(client) === mine && waiting.delete(client))),
      Effect.asVoid,
    )
  }

  return (client: string): Effect.Effect<void, OpeningSuperseded> =>
    Effect.suspend(() => {
      const before = waiting.get(client)
      if (before !== undefined) {
        Deferred.doneUnsafe(before.superseded, Effect.fail(new OpeningSuperseded()))
        return waitUntil(client, before.at_ms)
      }
      const now_ms = now()
      const wait_ms = rates.take(client, now_ms)
      return wait_ms === 0 ? Effect.void : waitUntil(client, now_ms + wait_ms)
    })
}

/**
 * The pace itself: the generic cell rate algorithm (ITU-T I.371, virtual scheduling), one number for each client that
 * has opened a session lately.
 */
export class ConnectRates {
  private readonly every_ms: number
  private readonly tolerance_ms: number
  /** When the next opening of a client is due, if it were to keep the pace exactly. The least lately changed first. */
  private readonly due = new Map<string, number>()

  constructor({ opening_every_ms, openings_in_a_row }: ConnectRateLimits) {
    this.every_ms = opening_every_ms
    this.tolerance_ms = opening_every_ms * (openings_in_a_row - 1)
  }

  /** Clients that are remembered. */
  get size(): number {
    return this.due.size
  }

  /** Takes the client's next turn; returns in how many milliseconds that is. */
  take(client: string, now_ms: number): number {
    this.forget(now_ms)
    const known_ms = this.due.get(client) ?? now_ms
    // What lies further ahead was written under a clock that has gone back since.
    const due_ms = Math.min(Math.max(now_ms, known_ms), now_ms + this.most_ms)
    this.due.delete(client)
    this.due.set(client, due_ms + this.every_ms)
    return Math.max(0, due_ms - now_ms - this.tolerance_ms)
  }

  /** How far ahead a due time may be when its client comes. */
  private get most_ms(): number {
    return this.tolerance_ms + this.every_ms
  }

  /** Two at a time, so that there are ever fewer that mean nothing any more. */
  private forget(now_ms: number): void {
    let left = 2
    for (const [client, due_ms] of this.due) {
      const isMeaningful = due_ms > now_ms && due_ms <= now_ms + this.most_ms + this.every_ms
      if (isMeaningful || left-- === 0) return
      this.due.delete(client)
    }
  }
}
