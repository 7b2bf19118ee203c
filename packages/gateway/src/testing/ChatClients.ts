/** Gateways of a test, and Socket.IO's own clients as they are, which write down all that they hear. */
import { assert } from "@effect/vitest"
import { OffsetsUnavailable } from "@nimbus/domain/errors"
import { ClientOffsets, ClientOffsetsMemory, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { HttpServer } from "effect/http"
import { io, type Socket } from "socket.io-client"
import * as Gateway from "../Gateway.ts"
import { chatLimits } from "../Limits.ts"
import * as MemoryParts from "./MemoryParts.ts"

export const chat = { ...chatLimits, messages_per_second: 100_000 }
/** For an answer; it only ends what would never come. */
export const patience_ms = 30_000

export const on =
  (topics: Layer.Layer<Topics>) =>
  <A, E>(test: Effect.Effect<A, E, Layer.Success<typeof MemoryParts.layer> | Scope.Scope>) =>
    test.pipe(Effect.scoped, Effect.provide(MemoryParts.layerWith({ partitions: 2 }, topics)))
export const onOpen = on(Topics.layerOpen)

export type Options = Omit<Parameters<typeof Gateway.layerWith>[0], "host" | "port">

export const startGateway = Effect.fnUntraced(function* (options: Options = {}) {
  const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { close_ms: 200, chat }, ...options })
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { address } = Context.get(yield* Layer.buildWithScope(Layer.fresh(gateway), scope), HttpServer.HttpServer)
  if (!("port" in address)) return assert.fail("no port")
  return { url: `http://127.0.0.1:${address.port}`, stop: Scope.close(scope, Exit.void) }
})

export interface Client {
  readonly socket: Socket
  /** All arguments of each `event:listen`. */
  readonly heard: Array<ReadonlyArray<unknown>>
  readonly others: Array<readonly [name: string, ...args: ReadonlyArray<unknown>]>
}

export const connect = (url: string, options: Parameters<typeof io>[1] = {}, listen = "event:listen") =>
  Effect.acquireRelease(
    Effect.sync((): Client => {
      const socket = io(url, { forceNew: true, reconnectionDelay: 20, ...options })
      const client: Client = { socket, heard: [], others: [] }
      socket.on(listen, (...args) => void client.heard.push(args))
      socket.onAny((name: string, ...args) => void client.others.push([name, ...args]))
      return client
    }),
    ({ socket }) => Effect.sync(() => void socket.disconnect()),
  )

export const until = (what: string, isSo: () => boolean) => eventually(what, Effect.sync(isSo))
const isLive = ({ others }: Client) => others.some(([name]) => name === "live")

export const join = Effect.fnUntraced(function* (...args: Parameters<typeof connect>) {
  const client = yield* connect(...args)
  yield* until("it is live", () => isLive(client))
  return client
})

export const hears = (client: Client, expected: ReadonlyArray<unknown>) =>
  Effect.andThen(
    until(`it hears ${expected.length}`, () => client.heard.length >= expected.length),
    Effect.sync(() =>
      assert.deepStrictEqual(
        client.heard,
        expected.map((data) => [data]),
      ),
    ),
  )

export const ask = ({ socket }: Client, name: string, ...args: ReadonlyArray<unknown>) =>
  Effect.promise((): Promise<unknown> => socket.timeout(patience_ms).emitWithAck(name, ...args))

/** The first arguments of what it hears. */
export const hearsData = (client: Client, ...expected: ReadonlyArray<unknown>) =>
  Effect.andThen(
    until(`it hears ${expected.length}`, () => client.heard.length >= expected.length),
    Effect.sync(() =>
      assert.deepStrictEqual(
        client.heard.map(([data]) => data),
        expected,
      ),
    ),
  )

/** The WebSocket of a client. Paused, it takes nothing, and the kernels on the way take what they can. */
export const rawSocketOf = ({ socket }: Client): Pausable => {
  const { transport } = socket.io.engine
  const raw = "ws" in transport ? transport.ws : undefined
  return isPausable(raw) ? raw : assert.fail("no WebSocket that can be paused")
}

interface Pausable {
  pause(): void
  resume(): void
  terminate(): void
}

const isPausable = (u: unknown): u is Pausable =>
  typeof u === "object" && u !== null && "pause" in u && typeof u.pause === "function" && "terminate" in u

/** A store that tells the highest offset that it was given, and can be away. */
export const makeStore = () => {
  const { offsets } = ClientOffsetsMemory.makeMemory()
  const state = { saved: -1, isAway: false }
  const service = ClientOffsets.of({
    load: (owner) => (state.isAway ? Effect.fail(unavailable("load")) : offsets.load(owner)),
    save: (facts) => {
      state.saved = Math.max(state.saved, ...facts.map(({ offset }) => offset))
      return offsets.save(facts)
    },
  })
  return Object.assign(state, { offsets: service })
}

const unavailable = (operation: string) => new OffsetsUnavailable({ operation, cause: "told to fail" })

export const keeps = (store: ReturnType<typeof makeStore>, next: number) =>
  until("it is kept", () => store.saved >= next)
