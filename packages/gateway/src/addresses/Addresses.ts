/**
 * The bounds of each address, at every port of a gateway. `ClientAddress` says whose a request is, `AddressBook` whether it
 * may; here is what both servers ask.
 *
 * - A connection counts from when it is accepted. One too many, or too soon, is not cut off at once: what is asked on it is
 *   answered, so that its client learns why, and it is closed soon after.
 * - Behind a trusted proxy the connections are the proxy's, which are not bounded. What is counted there are the streams
 *   that a client has through it: WebSockets, and calls of gRPC.
 * - Refusals are counted by their code, and named in a line of the log at most once in `line_ms`.
 */
import { Clock, Context, Effect, FiberSet, Layer } from "effect"
import { Limits } from "../Limits.ts"
import { AddressBook, type AddressRefusal, type TooMany } from "./AddressBook.ts"
import { type ClientAddress, clientAddresses, type Origins } from "./ClientAddress.ts"

export interface AddressOptions {
  /** Addresses and blocks of them, or names of `proxyNames`. Default: none. */
  readonly trustedProxies?: ReadonlyArray<string>
}

/** Between two lines of the log. */
const line_ms = 60_000

type Close = (closed: () => void) => void

export interface AddressGuard {
  /** Who asks, as far as that is known: for the log, and to count what this machine is counted for as well. */
  from(origins: Origins): ClientAddress | undefined
  /** Whether this is a trusted proxy: what it shows is its own, and not that of those who ask through it. */
  isProxy(peer: string | undefined): boolean
  /** A connection is accepted. Undefined: it may stay. `onClose`: registers what is called once it is closed. */
  accept(peer: string | undefined, onClose: Close): TooMany | undefined
  /** Whether this may be asked. */
  ask(origins: Origins): TooMany | undefined
  /** Whether this may be opened through a proxy: with `onClose` it counts as a connection. Not through one, it may. */
  openThrough(origins: Origins, onClose?: Close): TooMany | undefined
  /** Whether one of many on a connection may be opened. */
  open(origins: Origins, onClose: Close): TooMany | undefined
  /** What was asked has failed by its own fault. */
  fail(origins: Origins): void
}

/** What each address may open and fail at. */
export class Addresses extends Context.Service<Addresses, AddressGuard>()("@nimbus/gateway/Addresses") {
  static readonly layerWith = ({ trustedProxies = [] }: AddressOptions) =>
    Layer.effect(
      Addresses,
      Effect.gen(function* () {
        const { address: limits } = yield* Limits
        const clock = yield* Clock.Clock
        const run = yield* FiberSet.makeRuntime<never>()
        const book = new AddressBook(limits)
        const now = () => clock.currentTimeMillisUnsafe()
        const clientOf = clientAddresses(trustedProxies)
        let lastLine_ms = Number.NEGATIVE_INFINITY

        const refused = (refusal: TooMany | undefined, { text }: ClientAddress): TooMany | undefined => {
          if (refusal === undefined || now() - lastLine_ms < line_ms) return refusal
          lastLine_ms = now()
          run(Effect.logWarning(`${text} is refused for now: ${refusal.code}; so may others be within the next minute`))
          return refusal
        }

        const connect = (client: ClientAddress, onClose: Close): TooMany | undefined => {
          const refusal = book.connect(client.key, now())
          if (refusal === undefined) onClose(() => book.close(client.key))
          return refused(refusal, client)
        }

        return {
          from: (origins) => clientOf(origins).from,
          isProxy: (peer) => clientOf({ peer, forwardedFor: undefined, forwarded: undefined }).isProxied,
          accept(peer, onClose) {
            const { client, isProxied } = clientOf({ peer, forwardedFor: undefined, forwarded: undefined })
            return client === undefined || isProxied ? undefined : connect(client, onClose)
          },
          ask(origins) {
            const { client } = clientOf(origins)
            return client && refused(book.ask(client.key, now()), client)
          },
          openThrough(origins, onClose) {
            const { client, isProxied } = clientOf(origins)
            if (client === undefined || !isProxied) return undefined
            return onClose === undefined ? refused(book.open(client.key, now()), client) : connect(client, onClose)
          },
          open(origins, onClose) {
            const { client, isProxied } = clientOf(origins)
            if (client === undefined) return undefined
            return isProxied ? connect(client, onClose) : refused(book.open(client.key, now()), client)
          },
          fail(origins) {
            const { client } = clientOf(origins)
            if (client !== undefined) book.fail(client.key, now())
          },
        }
      }),
    )
}

/** Of a connection, once. */
export const onClose =
  (connection: { once(event: "close", listener: () => void): unknown }): Close =>
  (closed) =>
    void connection.once("close", closed)

const settings = {
  TOO_MANY_CONNECTIONS: "NIMBUS_CONNECTIONS_PER_ADDRESS",
  TOO_MANY_OPENINGS: "NIMBUS_OPENINGS_PER_ADDRESS",
  TOO_MANY_FAILURES: "NIMBUS_FAILURES_PER_ADDRESS",
} as const satisfies Record<AddressRefusal, string>

const sentences: Readonly<Record<AddressRefusal, string>> = {
  TOO_MANY_CONNECTIONS: "as many connections of this address are open as may be",
  TOO_MANY_OPENINGS: "this address opens connections faster than it may",
  TOO_MANY_FAILURES: "too much of what this address has asked has failed",
}

export const messageOf = ({ code }: TooMany): string => `${sentences[code]} (${settings[code]}); come back later`

/** For `Retry-After`. */
export const retrySeconds = ({ retry_ms }: TooMany): string => String(Math.max(1, Math.ceil(retry_ms / 1000)))
