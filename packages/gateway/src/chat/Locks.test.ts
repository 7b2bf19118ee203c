import { assert, describe, it } from "@effect/vitest"
import { Grants, type Principal } from "@nimbus/domain/access"
import { AuthUnavailable } from "@nimbus/domain/errors"
import { openRoom, partitionOf } from "@nimbus/domain/protocol"
import {
  Audit,
  type AuditEntry,
  Authenticator,
  ClientOffsets,
  EventLog,
  Revocations,
  Tickets,
  TicketsMemory,
  Topics,
} from "@nimbus/domain/services"
import { Clock, Context, Effect, Layer, Result } from "effect"
import { WebSocket } from "ws"
import {
  ask,
  chat,
  type Client,
  connect,
  hearsData,
  join,
  on,
  startGateway,
  until,
  makeStore,
  type Options,
} from "../testing/ChatClients.ts"
import * as Locks from "../testing/Locks.ts"

const inRoom = on(Topics.layerDefault)
const inOpen = on(Topics.layerOpen)

const member = ["connect:{sub}", "room:join:r", "room:publish:r", "room:history:r", "broadcast"]
const said = (subject: string, capabilities: ReadonlyArray<string> = member): Locks.Said => ({ subject, capabilities })

/** A gateway with locks, what it has told to the audit, and tokens, which a test may change. */
const lockedWith = Effect.fnUntraced(function* (options: Options, ...all: ReadonlyArray<Named>) {
  const tokens = new Map(all)
  const entries: Array<AuditEntry> = []
  const audit = Audit.of({ record: (entry) => void entries.push(entry) })
  const { url } = yield* startGateway(options).pipe(
    Effect.provide(Locks.layer(tokens)),
    Effect.provideService(Audit, audit),
  )
  return { url, tokens, entries }
})

type Named = readonly [token: string, said: Locks.Said]
const locked = (...all: ReadonlyArray<Named>) => lockedWith({}, ...all)

const as = (token: string, auth: Record<string, unknown> = { room: "r" }) => ({
  auth: { token, ...auth },
  transports: ["websocket"],
})

const connectError = Effect.fnUntraced(function* (url: string, options: Parameters<typeof connect>[1]) {
  const { socket } = yield* connect(url, { reconnection: false, ...options })
  return yield* Effect.promise(
    () => new Promise<Error & { readonly data?: unknown }>((resolve) => socket.once("connect_error", resolve)),
  )
})

const recordsOf = Effect.fnUntraced(function* (room: string) {
  const log = yield* EventLog
  return yield* log.end("chats", partitionOf(room, log.partitions))
})

const codeOf = (answer: unknown) => {
  const error = typeof answer === "object" && answer !== null && "error" in answer ? answer.error : undefined
  return typeof error === "object" && error !== null && "code" in error ? error.code : "none"
}
const told = ({ others }: Client, event: string) => others.flatMap(([name, about]) => (name === event ? [about] : []))

describe("the chat behind locks", () => {
  it.live.each([
    { why: "no token", auth: { room: "r" }, code: "TOKEN_MISSING" },
    { why: "a token that is no text", auth: { room: "r", token: 7 }, code: "TOKEN_MISSING" },
    { why: "an unknown token", auth: { room: "r", token: "x" }, code: "TOKEN_INVALID" },
    { why: "a room that it may not join", auth: { room: "s", token: "alice" }, code: "FORBIDDEN" },
    { why: "the rights of a token that has none of its own", auth: { room: "r", token: "plain" }, code: "FORBIDDEN" },
    { why: "no right to connect", auth: { room: "r", token: "mute" }, code: "FORBIDDEN" },
  ])("refuses a socket with $why, as $code", ({ auth, code }) =>
    Effect.gen(function* () {
      const { entries, url } = yield* locked(
        ["alice", said("alice")],
        ["plain", { subject: "plain" }],
        ["mute", said("mute", ["room:join:r"])],
      )
      const error = yield* connectError(url, { auth, transports: ["websocket"] })
      assert.match(error.message, new RegExp(`^${code}: `))
      assert.propertyVal(error.data, "code", code)
      if (code === "FORBIDDEN") assert.property(error.data, "capability")
      assert.strictEqual(entries.at(-1)?.outcome, code)
      assert.strictEqual(entries.at(-1)?.transport, "/socket.io/")
    }).pipe(inRoom),
  )

  it.live.each([
    { carrier: "Authorization", options: { extraHeaders: { authorization: "Bearer alice" } } },
    { carrier: "a cookie of its own page", options: { extraHeaders: { cookie: "nimbus_session=alice" } } },
    { carrier: "a ticket", options: { query: { ticket: "first" } } },
    { carrier: "a ticket, by polling", options: { query: { ticket: "first" }, transports: ["polling"] } },
  ])("knows a socket by $carrier where its auth has no token", ({ options }) =>
    Effect.gen(function* () {
      const tickets = yield* Tickets
      const { entries, url } = yield* locked(["alice", said("alice")])
      const query = "query" in options ? { query: { ticket: yield* tickets.issue("alice") } } : {}
      const alice = yield* join(
        url,
        { transports: ["websocket"], ...options, ...query, auth: { room: "r" } },
        "message",
      )
      assert.property(yield* ask(alice, "message", "hello"), "offset")
      assert.strictEqual(entries.at(-1)?.address, "127.0.0.1")
      // A ticket counts once.
      const again = { ...options, ...query, auth: { room: "r" } }
      if ("query" in options) assert.match((yield* connectError(url, again)).message, /^TOKEN_INVALID: /)
    }).pipe(Effect.provide(TicketsMemory.layerMemory()), inRoom),
  )

  it.live("does not know a socket of another site's page by its visitor's cookie, whatever pages may ask", () =>
    Effect.gen(function* () {
      const { url } = yield* lockedWith({ origins: ["*"] }, ["alice", said("alice")])
      const extraHeaders = { cookie: "nimbus_session=alice", origin: "https://evil.test" }
      const error = yield* connectError(url, { extraHeaders, transports: ["websocket"], auth: { room: "r" } })
      assert.match(error.message, /^TOKEN_MISSING: /)
    }).pipe(inRoom),
  )

  it.live(
    "calls the sender of a message its subject, whatever it calls itself, and answers the socket that sent it",
    () =>
      Effect.gen(function* () {
        const { url } = yield* locked(["alice", said("auth0|alice")], ["bob", said("bob")])
        const alice = yield* join(
          url,
          as("alice", { room: "r", clientId: "bob", pid: "bob", sender: "bob" }),
          "message",
        )
        const phone = yield* join(url, as("alice"), "message")
        const bob = yield* join(url, as("bob"), "message")
        assert.property(yield* ask(alice, "message", "hello", "m1"), "offset")
        assert.property(yield* ask(bob, "message", "hi"), "offset")
        yield* hearsData(bob, "hello")
        yield* hearsData(phone, "hello", "hi")
        yield* hearsData(alice, "hi")
        assert.propertyVal(bob.heard[0]?.[1], "sender", "sub.auth0:7Calice")
        assert.notProperty(bob.heard[0]?.[1], "socket")
        assert.deepStrictEqual(yield* ask(alice, "broadcast", "all"), {})
        yield* until("bob has the broadcast", () => told(bob, "broadcast").length === 1)
        assert.deepStrictEqual(told(bob, "broadcast"), [{ sender: "sub.auth0:7Calice", data: "all" }])
      }).pipe(inRoom),
  )

  it.live("takes two messages of the same id for two where their subjects differ, whatever names they give", () =>
    Effect.gen(function* () {
      const { url } = yield* locked(["alice", said("alice")], ["bob", said("bob")])
      const same = { room: "r", clientId: "c", pid: "p" }
      const [alice, bob] = [
        yield* join(url, as("alice", same), "message"),
        yield* join(url, as("bob", same), "message"),
      ]
      yield* ask(alice, "message", "of alice", "m1")
      yield* ask(bob, "message", "of bob", "m1")
      yield* hearsData(bob, "of alice")
      yield* hearsData(alice, "of bob")
      assert.strictEqual(yield* recordsOf("r"), 2)
    }).pipe(inRoom),
  )

  it.live("keeps a place for a name within its subject: another subject of that name neither has nor moves it", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const { url } = yield* Effect.provideService(
        locked(["alice", said("alice")], ["bob", said("bob")]),
        ClientOffsets,
        store.offsets,
      )
      const named = { room: "r", clientId: "c", offset: null, pid: null }
      const writer = yield* join(url, as("alice"), "message")
      const alice = yield* join(url, as("alice", named), "message")
      yield* ask(writer, "message", 0)
      yield* until("its place is kept", () => store.saved >= 1)
      alice.socket.disconnect()
      yield* ask(writer, "message", 1)
      const bob = yield* join(url, as("bob", named), "message")
      yield* ask(writer, "message", 2)
      yield* hearsData(bob, 2)
      yield* until("the place of the other one is kept", () => store.saved >= 3)
      yield* hearsData(yield* join(url, as("alice", named), "message"), 1, 2)
    }).pipe(inRoom),
  )

  it.live("refuses what a capability is missing for before anything happens, and the socket goes on", () =>
    Effect.gen(function* () {
      const { entries, url } = yield* locked(
        ["reader", said("reader", ["connect:{sub}", "room:join:r"])],
        ["alice", said("alice")],
      )
      const [reader, alice] = [yield* join(url, as("reader"), "message"), yield* join(url, as("alice"), "message")]
      assert.deepStrictEqual(yield* ask(reader, "message", "x"), {
        error: {
          code: "FORBIDDEN",
          message: "the capability room:publish:r is missing",
          capability: "room:publish:r",
        },
      })
      assert.strictEqual(codeOf(yield* ask(reader, "broadcast", "x")), "FORBIDDEN")
      reader.socket.emit("message", "y")
      yield* until("it is told", () => told(reader, "refused").length === 1)
      assert.strictEqual(yield* recordsOf("r"), 0)
      yield* ask(alice, "message", "one")
      yield* hearsData(reader, "one")
      assert.deepStrictEqual(told(alice, "broadcast"), [])
      const details = entries.filter(({ outcome }) => outcome === "FORBIDDEN").map(({ detail }) => detail)
      assert.deepStrictEqual(details, ["room:publish:r", "broadcast", "room:publish:r"])
    }).pipe(inRoom),
  )

  it.live.each([{ history: 10 }, { history: true }, { offset: 0 }, { offset: "1" }, { clientId: "c" }])(
    "gives nothing that is older than the connection without room:history, asked for by %j",
    (asked) =>
      Effect.gen(function* () {
        const { url } = yield* locked(
          ["reader", said("reader", ["connect:{sub}", "room:join:r"])],
          ["alice", said("alice")],
        )
        const alice = yield* join(url, as("alice"), "message")
        for (const n of [0, 1, 2]) yield* ask(alice, "message", n)
        const reader = yield* join(url, as("reader", { room: "r", ...asked }), "message")
        yield* ask(alice, "message", "new")
        yield* hearsData(reader, "new")
        assert.propertyVal(told(reader, "refused")[0], "capability", "room:history:r")
        const other = yield* join(url, as("alice", { room: "r", history: 2 }), "message")
        yield* hearsData(other, 2, "new")
      }).pipe(inRoom),
  )

  it.live("takes the open chat for the room that it is: `open`", () =>
    Effect.gen(function* () {
      const { url } = yield* locked(
        ["alice", said("alice", ["connect:{sub}", `room:join:${openRoom}`, `room:publish:${openRoom}`])],
        ["reader", said("reader", ["connect:{sub}", `room:join:${openRoom}`])],
        ["bob", said("bob")],
      )
      const [alice, reader] = [yield* join(url, as("alice", {})), yield* join(url, as("reader", {}))]
      assert.property(yield* ask(alice, "event:message", "hello"), "offset")
      assert.strictEqual(codeOf(yield* ask(reader, "event:message", "hello")), "FORBIDDEN")
      yield* hearsData(reader, "hello")
      yield* hearsData(alice, "hello")
      assert.match((yield* connectError(url, as("bob", {}))).message, /^FORBIDDEN: .*room:join:open/)
    }).pipe(inOpen),
  )

  it.live("tells a socket that its token ends, and goes on with another one of the same subject", () =>
    Effect.gen(function* () {
      const now_s = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      const { tokens, url } = yield* locked(["old", { ...said("alice"), expires_s: now_s + 30 }], ["bob", said("bob")])
      const alice = yield* join(url, as("old"), "message")
      yield* until("it is told", () => told(alice, "expiring").length === 1)
      const [end] = told(alice, "expiring")
      assert.property(end, "seconds")
      tokens.set("new", { ...said("alice"), expires_s: now_s + 1_000 })
      tokens.set("less", said("alice", ["connect:{sub}"]))
      assert.strictEqual(codeOf(yield* ask(alice, "auth", { token: "bob" })), "TOKEN_INVALID")
      assert.strictEqual(codeOf(yield* ask(alice, "auth", { token: "less" })), "FORBIDDEN")
      assert.strictEqual(codeOf(yield* ask(alice, "auth", "new")), "BAD_MESSAGE")
      assert.property(yield* ask(alice, "auth", { token: "new" }), "seconds")
      assert.property(yield* ask(alice, "message", "still here"), "offset")
    }).pipe(inRoom),
  )

  it.live("does with a new token what that one allows, and no more", () =>
    Effect.gen(function* () {
      const { tokens, url } = yield* locked(["old", said("alice")])
      const alice = yield* join(url, as("old"), "message")
      tokens.set("new", said("alice", ["connect:{sub}", "room:join:r"]))
      assert.deepStrictEqual(yield* ask(alice, "auth", { token: "new" }), {})
      assert.strictEqual(codeOf(yield* ask(alice, "message", "x")), "FORBIDDEN")
    }).pipe(inRoom),
  )

  it.live("ends a connection with its token, and its client comes back with the next one, missing nothing", () =>
    Effect.gen(function* () {
      const now_s = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      const { tokens, url } = yield* locked(["first", { ...said("alice"), expires_s: now_s + 2 }], ["bob", said("bob")])
      const bob = yield* join(url, as("bob"), "message")
      const shown: Array<string> = []
      const auth = (give: (auth: object) => void) => {
        const token = shown.length === 0 ? "first" : "second"
        shown.push(token)
        give({ room: "r", token })
      }
      const alice = yield* join(url, { auth, transports: ["websocket"] }, "message")
      yield* ask(bob, "message", 0)
      yield* hearsData(alice, 0)
      tokens.set("second", said("alice"))
      yield* until("it has come back", () => told(alice, "live").length === 2)
      assert.propertyVal(told(alice, "refused")[0], "code", "TOKEN_EXPIRED")
      yield* ask(bob, "message", 1)
      yield* hearsData(alice, 0, 1)
      assert.deepStrictEqual(shown, ["first", "second"])
    }).pipe(inRoom),
  )

  it.live("lets a client whose token can't be looked at now come back on its own", () =>
    Effect.gen(function* () {
      const state = { asked: 0 }
      const grants = Result.getOrThrow(Grants.parse(member, Locks.principalOf({ subject: "alice" }).clientId))
      const alice: Principal = { ...Locks.principalOf({ subject: "alice" }), grants }
      const locks = Layer.succeed(Authenticator, {
        authenticate: () =>
          state.asked++ === 0
            ? Effect.fail(new AuthUnavailable({ code: "AUTH_UNAVAILABLE", reason: "the keys don't answer" }))
            : Effect.succeed(alice),
        isKnown: () => true,
      })
      const { url } = yield* Effect.provide(startGateway(), locks)
      yield* join(url, as("any"), "message")
      assert.strictEqual(state.asked, 2)
    }).pipe(inRoom),
  )

  it.live("ends a connection whose token is revoked, for good", () =>
    Effect.gen(function* () {
      const revocations = Context.get(yield* Layer.build(Revocations.layerMemory()), Revocations)
      const { url } = yield* Effect.provideService(
        locked(["alice", said("alice")], ["bob", said("bob")]),
        Revocations,
        revocations,
      )
      const [alice, bob] = [yield* join(url, as("alice"), "message"), yield* join(url, as("bob"), "message")]
      const disconnected = new Promise<string>((resolve) => alice.socket.once("disconnect", resolve))
      yield* revocations.order({ _tag: "Block", issuer: Locks.issuer, subject: "alice" })
      assert.strictEqual(yield* Effect.promise(() => disconnected), "io server disconnect")
      assert.propertyVal(told(alice, "refused")[0], "code", "TOKEN_REVOKED")
      assert.property(yield* ask(bob, "message", "still here"), "offset")
    }).pipe(inRoom),
  )

  it.live("ends a connection that shows tokens that count for nothing, one after the other", () =>
    Effect.gen(function* () {
      const { url } = yield* locked(["alice", said("alice")])
      const alice = yield* join(url, as("alice"), "message")
      const disconnected = new Promise<string>((resolve) => alice.socket.once("disconnect", resolve))
      for (const n of [1, 2, 3])
        assert.strictEqual(codeOf(yield* ask(alice, "auth", { token: `guess ${n}` })), "TOKEN_INVALID")
      assert.strictEqual(yield* Effect.promise(() => disconnected), "io server disconnect")
      assert.propertyVal(told(alice, "refused").at(-1), "code", "UNAUTHENTICATED")
    }).pipe(inRoom),
  )

  it.live("closes a connection with its answer where its token counts for nothing: the next one comes on another", () =>
    Effect.gen(function* () {
      const { entries, url } = yield* locked(["alice", said("alice")])
      const raw = yield* rawSocket(url)
      yield* until("it is open", () => raw.packets.some((packet) => packet.startsWith("0")))
      for (const token of ["x", "y", "alice"]) raw.ws.send(`40${JSON.stringify({ room: "r", token })}`)
      yield* until("it is closed", () => raw.ws.readyState === raw.ws.CLOSED)
      assert.isFalse(raw.packets.some((packet) => packet.startsWith("40")))
      assert.deepStrictEqual(
        entries.map(({ outcome }) => outcome),
        ["TOKEN_INVALID"],
      )
    }).pipe(inRoom),
  )

  it.live("closes a connection of which nothing shows who it is", () =>
    Effect.gen(function* () {
      const { url } = yield* Effect.provide(
        startGateway({ limits: { close_ms: 200, chat, first_frame_ms: 50 } }),
        Locks.layer(new Map()),
      )
      const raw = yield* rawSocket(url)
      yield* until("it is closed", () => raw.ws.readyState === raw.ws.CLOSED)
    }).pipe(inRoom),
  )
})

/** Engine.IO's packets, as they are. */
const rawSocket = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const ws = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`)
      const packets: Array<string> = []
      ws.on("message", (data: Buffer) => packets.push(data.toString()))
      ws.on("error", () => {})
      return { ws, packets }
    }),
    ({ ws }) => Effect.sync(() => ws.terminate()),
  )
