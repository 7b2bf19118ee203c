/** Keeps a client connected: connects, reads, detects silence, reconnects, and stops if a reconnect can't succeed. */
import type { ClientId, Failure } from "@nimbus/domain/protocol"
import type { Array, Scope } from "effect"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { ConnectionClosed, type MemoryUnavailable, Unreachable } from "./Errors.ts"
import type { ClientLimits } from "./Limits.ts"
import * as Reconnect from "./Reconnect.ts"
import type { Tokens } from "./Tokens.ts"
import type { Connection, TransportShape } from "./Transport.ts"

export interface LinkOptions {
  readonly clientId: ClientId
  readonly limits: ClientLimits
  readonly transport: TransportShape
  readonly tokens: Tokens
  /** The address for the next connection. What it sends to the gateway has been saved. */
  readonly address: Effect.Effect<string, MemoryUnavailable>
  connected(connection: Connection): void
  /** Handles frames. Fails if the connection must not continue. */
  hear(frames: ReadonlyArray<string>): Effect.Effect<void, ConnectionClosed>
  /** What the gateway has said on this connection last that is wrong. */
  objection(): Failure | undefined
  /** Sends a ping. */
  ping(): void
  /** Sends a token. */
  authenticate(token: string): void
  readonly disconnected: Effect.Effect<void>
}

type LinkError = Reconnect.Verdict | Unreachable | MemoryUnavailable

/**
 * Runs until the client must stop.
 *
 * A newer connection of this client may be its own: an attempt that it gave up, or a connection that broke, which a busy
 * gateway opened or noticed only after the next one. So soon after such an end the client reconnects once.
 */
export const keep = Effect.fnUntraced(function* (options: LinkOptions): Effect.fn.Return<never, LinkError> {
  const { clientId, limits, tokens } = options
  let attempt = 0
  /** When a connection last ended without a close of the gateway, unless the one reconnect was used. */
  let broke_ms = Number.NEGATIVE_INFINITY
  while (true) {
    const since = yield* Clock.currentTimeMillis
    const over = yield* Effect.catchTag(Effect.scoped(connection(options)), "ConnectionClosed", Effect.succeed)
    const now_ms = yield* Clock.currentTimeMillis
    const error = Reconnect.verdict(clientId, over, options.objection())
    const isOwn = error?._tag === "Superseded" && now_ms - broke_ms <= limits.superseded_doubt_ms
    const mayHelp = tokens.mayHelp(over.close)
    if (error !== undefined && !isOwn && !mayHelp) return yield* error
    if (isOwn) broke_ms = Number.NEGATIVE_INFINITY
    else if (Reconnect.isBroken(over)) broke_ms = now_ms
    // Only a connection that lasted longer than the longest delay shows that the gateway works again.
    const lasted_ms = now_ms - since
    attempt = lasted_ms >= limits.reconnect_max_ms ? 1 : attempt + 1
    if (attempt > limits.reconnect_attempts) {
      return yield* new Unreachable({ attempts: attempt, reason: over.reason })
    }
    const delay_ms = Reconnect.delay_ms(over.close, attempt, yield* Random.next, limits)
    yield* Effect.logDebug("connection over", { close: over.close, reason: over.reason, attempt, delay_ms })
    yield* Effect.sleep(delay_ms)
  }
})

/** One connection, from its address to its close. */
const connection = Effect.fnUntraced(function* (
  options: LinkOptions,
): Effect.fn.Return<never, ConnectionClosed | MemoryUnavailable, Scope.Scope> {
  const { limits, tokens, transport } = options
  const token = yield* tokens.connecting
  const url = yield* options.address
  const [connection, first] = yield* Effect.timeoutOrElse(open(transport, url, token), {
    duration: limits.connect_timeout_ms,
    orElse: () => silence("no welcome in time"),
  })
  yield* Effect.addFinalizer(() => options.disconnected)
  options.connected(connection)
  yield* options.hear(first)
  return yield* listen(options, connection)
})

const open = (
  transport: TransportShape,
  url: string,
  token: string | undefined,
): Effect.Effect<readonly [Connection, Array.NonEmptyReadonlyArray<string>], ConnectionClosed, Scope.Scope> =>
  Effect.flatMap(transport.connect(url, token), (connection) =>
    Effect.map(connection.read, (first) => [connection, first] as const),
  )

const listen = (options: LinkOptions, connection: Connection): Effect.Effect<never, ConnectionClosed> => {
  let heard = true
  const reads = Effect.forever(
    Effect.flatMap(connection.read, (frames) => {
      heard = true
      return options.hear(frames)
    }),
  )
  // After one interval of silence: send a ping. After another: give up.
  const beats = Effect.gen(function* () {
    let asked = false
    while (true) {
      heard = false
      yield* Effect.sleep(options.limits.heartbeat_ms)
      if (heard) asked = false
      else if (asked) return yield* silence("no sign of life")
      else {
        asked = true
        options.ping()
      }
    }
  })
  return Effect.raceFirst(Effect.raceFirst(reads, beats), options.tokens.renewals(options.authenticate))
}

/** The client gave the connection up. It looks like one that broke. */
const silence = (reason: string) => Effect.fail(new ConnectionClosed({ close: 1006, reason }))
