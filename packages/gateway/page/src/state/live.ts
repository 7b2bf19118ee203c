/**
 * What the gateway sees, a snapshot a second over one connection, and the last minutes of it.
 *
 * ```
 *   filter ──┐
 *   tab is seen ──▶ one stream of snapshots ──▶ picture, replays, pulses (a ring)
 *   token ───┘         └─ breaks ──▶ again, with growing pauses; the last snapshot stays, and is marked as old
 * ```
 *
 * Another filter is another stream. A tab that nobody sees has none, and costs the gateway nothing.
 */
import { computed, effect, signal } from "@preact/signals"
import type { Status } from "@nimbus/domain/protocol"
import type { Snapshot, Pulse } from "@nimbus/domain/admin"
import { Data, Effect, Fiber, Schedule, Stream } from "effect"
import { Admin, noteRefusal, runtime } from "../api/Admin.ts"
import { isTokenNeeded, refused, token } from "../api/token.ts"
import { pageLimits } from "../Limits.ts"
import { observe, type Replays } from "./replays.ts"
import { Ring } from "./Ring.ts"

export interface Filter {
  readonly status: Status.StatusName | undefined
  readonly search: string
}

export const filter = signal<Filter>({ status: undefined, search: "" })
export const snapshot = signal<Snapshot | undefined>(undefined)
export const replays = signal<Replays>(new Map())
export const link = signal<"connecting" | "open" | "broken" | "paused" | "full">("connecting")

const ring = new Ring<Pulse>(pageLimits.pulses)
const pulsesSeen = signal(0)
/** Oldest first. */
export const pulses = computed(() => {
  void pulsesSeen.value
  return ring.toArray()
})

class StreamEnded extends Data.TaggedError("StreamEnded") {
  override readonly message = "The stream of snapshots ended."
}

/** Watches for as long as the page lives. */
export const watch = (): void => {
  const isSeen = signal(!document.hidden)
  document.addEventListener("visibilitychange", () => (isSeen.value = !document.hidden))
  effect(() => {
    const which = filter.value
    void token.value
    if (isTokenNeeded.value) return
    if (!isSeen.value) {
      link.value = "paused"
      return
    }
    const fiber = runtime.runFork(watching(which))
    return () => Effect.runFork(Fiber.interrupt(fiber))
  })
}

const watching = ({ search, status }: Filter) =>
  Effect.gen(function* () {
    const admin = yield* Admin
    if (search !== "") yield* Effect.sleep(pageLimits.settle_ms)
    const history = yield* admin.history()
    const snapshots = yield* admin.pictures({
      query: { ...(status === undefined ? {} : { status }), ...(search === "" ? {} : { search }) },
    })
    ring.clear()
    for (const pulse of history) ring.push(pulse)
    pulsesSeen.value++
    yield* Stream.runForEach(Stream.timeout(snapshots, pageLimits.silence_ms), (snapshot) =>
      Effect.sync(() => show(snapshot)),
    )
    return yield* new StreamEnded()
  }).pipe(
    Effect.tapError((error) =>
      Effect.sync(() => {
        link.value = error._tag === "NotPossible" ? "full" : "broken"
        noteRefusal(error)
        // Who may not look at anything is asked for another token; what it may not do elsewhere is told there.
        if (error._tag === "RoleMissing") refused(`You may not see this: ${error.message}.`)
      }),
    ),
    Effect.retry({ schedule: pauses, while: () => !isTokenNeeded.peek() }),
    Effect.ignore,
  )

const pauses = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced(pageLimits.retry_max_ms)]).pipe(
  Schedule.jittered,
)

const show = (next: Snapshot): void => {
  link.value = "open"
  replays.value = observe(replays.value, next.rows, next.pulse.at)
  snapshot.value = next
  if (ring.newest?.at !== next.pulse.at) {
    ring.push(next.pulse)
    pulsesSeen.value++
  }
}
