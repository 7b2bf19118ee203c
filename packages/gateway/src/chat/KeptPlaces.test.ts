import { assert, describe, it } from "@effect/vitest"
import { ClientOffsets, Topics } from "@nimbus/domain/services"
import { Effect } from "effect"
import {
  ask,
  connect,
  hears,
  hearsData,
  join,
  on,
  onOpen,
  rawSocketOf,
  startGateway,
  until,
  keeps,
  makeStore,
} from "../testing/ChatClients.ts"

/** As clients connect that don't remember an offset, or don't give it back. */
const named = (clientId: unknown, room?: string) => ({
  auth: { clientId, room, offset: null, pid: null },
  transports: ["websocket"],
})

const onStore = (store: ReturnType<typeof makeStore>) =>
  Effect.provideService(startGateway(), ClientOffsets, store.offsets)

const inRoom = on(Topics.layerDefault)
const room = { auth: { room: "r" } }

describe("the place of a client that names itself", () => {
  it.live("is kept over a disconnection, for all gateways: nothing comes again, and nothing is missed", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const [one, two] = [yield* onStore(store), yield* onStore(store)]
      const other = yield* join(one.url, room, "message")
      const first = yield* join(one.url, named("c", "r"), "message")
      yield* ask(other, "message", 0)
      yield* hearsData(first, 0)
      yield* keeps(store, 1)
      first.socket.disconnect()
      yield* ask(other, "message", 1)
      const second = yield* join(two.url, named("c", "r"), "message")
      yield* ask(other, "message", 2)
      yield* hearsData(second, 1, 2)
      yield* keeps(store, 3)
      yield* two.stop
      yield* ask(other, "message", 3)
      yield* hearsData(yield* join(one.url, named("c", "r"), "message"), 3)
    }).pipe(inRoom),
  )

  it.live("holds in the open chat too, from the first moment on, and not for another name", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const { url } = yield* onStore(store)
      const other = yield* join(url)
      const first = yield* join(url, named("c"))
      yield* keeps(store, 0)
      first.socket.disconnect()
      yield* ask(other, "event:message", "one")
      yield* hears(yield* join(url, named("c")), ["one"])
      const another = yield* join(url, named("d"))
      yield* ask(other, "event:message", "two")
      yield* hears(another, ["two"])
    }).pipe(onOpen),
  )

  it.live("is what its client has read, not what the network has taken", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const { url } = yield* onStore(store)
      const other = yield* join(url, room, "message")
      const first = yield* join(url, named("c", "r"), "message")
      yield* ask(other, "message", 0)
      yield* hearsData(first, 0)
      yield* keeps(store, 1)
      const raw = rawSocketOf(first)
      raw.pause()
      for (let n = 1; n < 20; n++) yield* ask(other, "message", n)
      raw.terminate()
      first.socket.disconnect()
      const second = yield* join(url, named("c", "r"), "message")
      yield* hearsData(second, ...Array.from({ length: 19 }, (_, n) => n + 1))
    }).pipe(inRoom),
  )

  it.live("is the furthest of all sockets with this name", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const { url } = yield* onStore(store)
      const other = yield* join(url, room, "message")
      const slow = yield* join(url, named("c", "r"), "message")
      const raw = rawSocketOf(slow)
      raw.pause()
      const fast = yield* join(url, named("c", "r"), "message")
      yield* ask(other, "message", 0)
      yield* hearsData(fast, 0)
      yield* keeps(store, 1)
      raw.terminate()
      slow.socket.disconnect()
      const back = yield* join(url, named("c", "r"), "message")
      yield* ask(other, "message", 1)
      yield* hearsData(back, 1)
    }).pipe(inRoom),
  )

  it.live("is waited for where its store is away", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const { url } = yield* onStore(store)
      const other = yield* join(url, room, "message")
      const first = yield* join(url, named("c", "r"), "message")
      yield* keeps(store, 0)
      first.socket.disconnect()
      yield* ask(other, "message", 0)
      yield* until("it is no longer on its way", () => store.saved >= 0)
      store.isAway = true
      const second = yield* connect(url, named("c", "r"), "message")
      yield* until("it is connected", () => second.socket.connected)
      yield* ask(other, "message", 1)
      assert.isEmpty(second.others)
      store.isAway = false
      yield* hearsData(second, 0, 1)
    }).pipe(inRoom),
  )

  it.live.each([7, "", "x".repeat(129), "\ud800", ["c"], {}])("can't be %j's", (clientId) =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const { socket } = yield* connect(url, { ...named(clientId, "r"), reconnection: false })
      const error = yield* Effect.promise(() => new Promise<Error>((resolve) => socket.once("connect_error", resolve)))
      assert.strictEqual(error.message, "Invalid client id")
    }).pipe(inRoom),
  )
})
