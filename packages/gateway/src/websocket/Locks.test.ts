/** The WebSocket transports behind locks: real sockets, and tokens that stand in a table. */
import { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { callerHeader } from "@nimbus/domain/access"
import { AuthUnavailable } from "@nimbus/domain/errors"
import { autoAckLimits } from "@nimbus/domain/limits"
import { MemoryGauges, type Sized } from "@nimbus/domain/observability"
import { ClientId, Journey } from "@nimbus/domain/protocol"
import {
  Audit,
  type AuditEntry,
  Authenticator,
  Registry,
  Revocations,
  Tickets,
  TicketsMemory,
} from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Clock, Context, Deferred, Effect, Layer, Scope } from "effect"
import { HttpServer } from "effect/http"
import type { ClientOptions } from "ws"
import { Delivery } from "../delivery/Delivery.ts"
import { Gateway } from "../index.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { connect, type PlainClient } from "../testing/PlainClient.ts"

const tokens = new Map<string, Locks.Worth>()
const entries: Array<AuditEntry> = []

const limits = {
  tick_ms: 20,
  close_ms: 300,
  first_frame_ms: 400,
  journeys_per_second: 0,
  auto_ack: { ...autoAckLimits, quiet_ms: 50, look_ms: 20 },
}

const services = Layer.mergeAll(
  MemoryParts.layer,
  Locks.layer(tokens),
  TicketsMemory.layerMemory(),
  Revocations.layerMemory(),
  Layer.succeed(Audit, Audit.of({ record: (entry) => void entries.push(entry) })),
)

type Parts = Layer.Success<typeof services>

interface Server {
  readonly url: string
  readonly delivery: Delivery["Service"]
  /** Those that stand on what was shown. */
  readonly sessions: () => number
  /** Those that are known to be somebody's. */
  readonly sockets: () => number
}

/** A gateway on these services, one of several. */
const start = Effect.fnUntraced(function* (options: Partial<Gateway.GatewayOptions> = {}) {
  const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0, limits, ...options })
  const scope = yield* Scope.fork(yield* Effect.scope)
  const sizes = new Map<string, Sized>()
  const gauges: MemoryGauges = {
    add: (part, sized) => {
      sizes.set(part, sized)
      return () => {}
    },
  }
  const context = yield* Layer.buildWithScope(Layer.fresh(gateway), scope).pipe(
    Effect.provideService(MemoryGauges, gauges),
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  const port = "port" in address ? address.port : assert.fail("no port")
  return {
    url: `ws://127.0.0.1:${port}`,
    delivery: Context.get(context, Delivery),
    sessions: () => sizes.get("access")?.size["sessions"] ?? Number.NaN,
    sockets: () => sizes.get("websockets")?.size["sockets"] ?? Number.NaN,
  } satisfies Server
})

const scenario = (name: string, test: (server: Server) => Effect.Effect<void, unknown, Parts | Scope.Scope>) =>
  it.live(name, () => {
    tokens.clear()
    tokens.set("ada", { subject: "ada" }).set("eve", { subject: "eve" })
    entries.length = 0
    return Effect.flatMap(start(), test).pipe(Effect.scoped, Effect.provide(services))
  })

const native = "nimbus.v1"
const bearer = (token: string): ClientOptions => ({ headers: { authorization: `Bearer ${token}` } })

/** On the native transport; with a token in the header. */
const open = ({ url }: Server, token: string | undefined, query = "") =>
  connect(`${url}/v1/stream?${query}`, [native], token === undefined ? {} : bearer(token))

const welcomed = Effect.fnUntraced(function* (server: Server, token: string, query = "") {
  const client = yield* open(server, token, query)
  yield* client.first("welcome")
  return client
})

/** It is told this error, and closed with this reason. */
const turnedAway = Effect.fnUntraced(function* (client: PlainClient, code: string, reason: string) {
  assert.strictEqual((yield* client.first("error"))["code"], code)
  assert.strictEqual((yield* client.closed).reason, reason)
})

const isNobodyKnown = Effect.gen(function* () {
  const { statuses } = yield* Registry
  assert.deepStrictEqual(yield* statuses(["ada", "eve"].map((id) => ClientId.make(id))), [undefined, undefined])
})

const putResult = ({ delivery }: Server) =>
  Effect.provideService(MemoryParts.put("ada", [MemoryParts.result(5, { data: 1 })]), Delivery, delivery)

const audited = (action: string, outcome: string) =>
  entries.filter((entry) => entry.action === action && entry.outcome === outcome)

const now_s = Effect.map(Clock.currentTimeMillis, (now_ms) => Math.floor(now_ms / 1000))

describe("a WebSocket with locks", () => {
  describe("carries its token", () => {
    const carriers: ReadonlyArray<readonly [string, (url: string) => ReturnType<typeof connect>]> = [
      ["in Authorization", (url) => connect(`${url}/v1/stream`, [native], bearer("ada"))],
      ["as a subprotocol", (url) => connect(`${url}/v1/stream`, [native, "nimbus.bearer.ada"])],
      ["in a cookie", (url) => connect(`${url}/v1/stream`, [native], { headers: { cookie: "nimbus_session=ada" } })],
      [
        "in the cookie of a page of this origin",
        (url) =>
          connect(`${url}/v1/stream`, [native], {
            headers: { cookie: "nimbus_session=ada", origin: url.replace("ws", "http") },
          }),
      ],
      [
        "in a first frame",
        (url) =>
          Effect.tap(connect(`${url}/v1/stream`, [native]), (client) =>
            Effect.sync(() => client.send({ type: "auth", token: "ada" })),
          ),
      ],
    ]
    for (const [where, come] of carriers) {
      scenario(where, (server) =>
        Effect.gen(function* () {
          const client = yield* come(server.url)
          assert.strictEqual((yield* client.first("welcome"))["clientId"], "ada")
          assert.strictEqual(client.ws.protocol, native)
          assert.lengthOf(audited("login", "OK"), 1)
        }),
      )
    }

    scenario("by a ticket, which counts once", (server) =>
      Effect.gen(function* () {
        const ticket = yield* (yield* Tickets).issue("ada")
        const client = yield* open(server, undefined, `ticket=${ticket}`)
        assert.strictEqual((yield* client.first("welcome"))["clientId"], "ada")
        yield* turnedAway(yield* open(server, undefined, `ticket=${ticket}`), "TOKEN_INVALID", "UNAUTHENTICATED")
        assert.strictEqual(server.delivery.size(), 1)
      }),
    )

    for (const path of ["/approach2/events", "/approach3/events"]) {
      scenario(`also at ${path}, as a subprotocol that is not told back, and in a first frame`, ({ url }) =>
        Effect.gen(function* () {
          const by = yield* connect(`${url}${path}?frames=all`, ["nimbus.bearer.ada", "mine"])
          yield* by.first("welcome")
          assert.strictEqual(by.ws.protocol, "mine")
          const later = yield* connect(`${url}${path}?frames=all`)
          later.send({ type: "auth", token: "eve" })
          yield* later.first("welcome")
        }),
      )
    }
  })

  scenario("reads nothing before it is known who it is, and loses nothing that came behind the first frame", (server) =>
    Effect.gen(function* () {
      const client = yield* open(server, undefined)
      const raw: unknown = Reflect.get(client.ws, "_socket")
      if (!(raw instanceof Socket)) return assert.fail("no socket")
      // All in one piece.
      raw.cork()
      client.send({ type: "auth", token: "ada" })
      for (const id of ["e1", "e2"]) client.send({ type: "event", id, name: "sq", data: 1 })
      raw.uncork()
      const ids = () => client.frames.flatMap(({ ids }) => (Array.isArray(ids) ? ids : []))
      yield* eventually(
        "both are taken",
        Effect.sync(() => ids().length === 2),
      )
      assert.deepStrictEqual(ids(), ["e1", "e2"])
    }),
  )

  describe("is turned away before anything is written", () => {
    const isUntouched = Effect.andThen(
      isNobodyKnown,
      Effect.sync(() => assert.lengthOf(audited("login", "OK"), 0)),
    )

    scenario("with a token that counts for nothing", (server) =>
      Effect.gen(function* () {
        yield* turnedAway(yield* open(server, "nobody's"), "TOKEN_INVALID", "UNAUTHENTICATED")
        yield* isUntouched
        assert.lengthOf(audited("refused", "TOKEN_INVALID"), 1)
      }),
    )

    scenario("without a token in time, or with another first frame", (server) =>
      Effect.gen(function* () {
        yield* turnedAway(yield* open(server, undefined, "clientId=ada"), "TOKEN_MISSING", "UNAUTHENTICATED")
        const client = yield* open(server, undefined, "clientId=ada")
        client.send({ type: "event", id: "e1", name: "sq", data: 1 })
        yield* turnedAway(client, "TOKEN_MISSING", "UNAUTHENTICATED")
        yield* isUntouched
      }),
    )

    scenario("by a token in the URL", (server) =>
      Effect.gen(function* () {
        yield* turnedAway(
          yield* open(server, undefined, "token=ada&access_token=ada"),
          "TOKEN_MISSING",
          "UNAUTHENTICATED",
        )
        yield* isUntouched
      }),
    )

    scenario("as another client than its own, whoever that is", (server) =>
      Effect.gen(function* () {
        const client = yield* open(server, "eve", "clientId=ada")
        assert.include(String((yield* client.first("error"))["message"]), "connect:ada")
        yield* turnedAway(client, "FORBIDDEN", "FORBIDDEN")
        yield* isUntouched
        assert.deepInclude(audited("refused", "FORBIDDEN")[0], { subject: "eve", detail: "connect:ada" })
      }),
    )

    for (const [missing, query] of [
      ["read", ""],
      ["ack", "after=0"],
      ["ack", "ack=auto"],
      ["journey", "ack=client&journey=true"],
    ] as const) {
      scenario(`where ${missing} is missing, for ${query === "" ? "any session" : query}`, (server) =>
        Effect.gen(function* () {
          const capabilities = ["connect:{sub}", "read", "ack", "send:*", "journey"]
          tokens.set("ada", { subject: "ada", capabilities: capabilities.filter((one) => one !== missing) })
          const client = yield* open(server, "ada", query)
          assert.include(String((yield* client.first("error"))["message"]), missing)
          yield* turnedAway(client, "FORBIDDEN", "FORBIDDEN")
          yield* isUntouched
        }),
      )
    }

    scenario("while nobody can say who it is, and may come back", (server) =>
      Effect.gen(function* () {
        tokens.set("ada", new AuthUnavailable({ reason: "the keys can't be asked" }))
        yield* turnedAway(yield* open(server, "ada"), "AUTH_UNAVAILABLE", "UNAVAILABLE")
        yield* isUntouched
      }),
    )
  })

  describe("does what it may", () => {
    scenario(
      "events whose name it may not send are refused, and the log has the others with who caused them",
      (server) =>
        Effect.gen(function* () {
          tokens.set("ada", {
            subject: "ada",
            capabilities: ["connect:{sub}", "read", "ack", "send:order.*"],
            claims: { groups: ["staff"] },
          })
          const client = yield* welcomed(server, "ada")
          client.send({ type: "event", id: "e1", name: "admin.wipe", data: 1 })
          client.send({ type: "event", id: "e2", name: "order.new", data: 1, [callerHeader]: "forged" })
          assert.deepStrictEqual(yield* client.first("refused"), {
            type: "refused",
            id: "e1",
            code: "FORBIDDEN",
            message: "the capability send:admin.wipe is missing",
            capability: "send:admin.wipe",
          })
          assert.deepStrictEqual((yield* client.first("accepted"))["ids"], ["e2"])
          const [event, ...others] = yield* MemoryParts.events("ada", 1)
          assert.lengthOf(others, 0)
          assert.deepStrictEqual(JSON.parse(event?.headers?.[callerHeader] ?? ""), {
            issuer: Locks.issuer,
            subject: "ada",
            claims: { groups: ["staff"] },
          })
          assert.deepInclude(audited("refused", "FORBIDDEN")[0], { subject: "ada", detail: "send:admin.wipe" })
        }),
    )

    scenario("cancels and acks that it may not make are refused, and change nothing", (server) =>
      Effect.gen(function* () {
        tokens.set("ada", { subject: "ada", capabilities: ["connect:{sub}", "read"] })
        const client = yield* welcomed(server, "ada", "ack=client")
        client.send({ type: "cancel", id: "e1" })
        assert.deepInclude(yield* client.first("refused"), { id: "e1", capability: "cancel" })
        yield* putResult(server)
        const results = yield* client.first("results")
        client.send({ type: "ack", seq: 5 })
        assert.strictEqual((yield* client.first("error"))["code"], "FORBIDDEN")
        // Its next session is sent it again: an ack that was taken nevertheless has removed it by then.
        const next = yield* welcomed(server, "ada", "ack=client")
        assert.deepStrictEqual(yield* next.first("results"), results)
        assert.strictEqual(yield* MemoryParts.acked("ada"), -1)
      }),
    )

    scenario("another name of an event at the transports of NimbusWS is refused in their words", ({ url }) =>
      Effect.gen(function* () {
        tokens.set("ada", { subject: "ada", capabilities: ["connect:{sub}", "read", "ack", "send:event"] })
        const client = yield* connect(`${url}/approach3/events`, [], bearer("ada"))
        client.send({ type: "event", name: "sq", data: 1 })
        assert.strictEqual((yield* client.first("reject"))["capability"], "send:sq")
        client.event(2)
        assert.strictEqual((yield* client.first("event_accepted"))["data"], 2)
        assert.strictEqual(client.accepted(), 1)
      }),
    )
  })

  describe("lives as long as its token", () => {
    scenario("told before, it goes on with a new one of the same subject, and its events say so", (server) =>
      Effect.gen(function* () {
        const expires_s = (yield* now_s) + 30
        tokens.set("ada", { subject: "ada", expires_s })
        tokens.set("ada2", { subject: "ada", expires_s: expires_s + 600, claims: { more: true } })
        const client = yield* welcomed(server, "ada")
        assert.isAtMost(Number((yield* client.first("expiring"))["seconds"]), 31)
        client.send({ type: "auth", token: "ada2" })
        assert.isAbove(Number((yield* client.first("authenticated"))["seconds"]), 600)
        client.send({ type: "event", id: "e1", name: "sq", data: 1 })
        yield* client.first("accepted")
        const [event] = yield* MemoryParts.events("ada", 1)
        assert.deepInclude(JSON.parse(event?.headers?.[callerHeader] ?? ""), { claims: { more: true } })
        assert.strictEqual(server.delivery.size(), 1)
      }),
    )

    scenario("it is closed when the token ends, and what it has not got waits for it", (server) =>
      Effect.gen(function* () {
        tokens.set("ada", { subject: "ada", expires_s: (yield* now_s) + 2 })
        const client = yield* welcomed(server, "ada")
        yield* turnedAway(client, "TOKEN_EXPIRED", "TOKEN_EXPIRED")
        yield* putResult(server)
        tokens.set("ada", { subject: "ada" })
        const again = yield* welcomed(server, "ada")
        yield* again.first("results")
      }),
    )

    scenario("a token of another subject changes nothing, and a third that counts for nothing closes it", (server) =>
      Effect.gen(function* () {
        // Who may connect as this client is another one still.
        tokens.set("eve", { subject: "eve", capabilities: ["connect:ada", "read", "ack", "send:*"] })
        const client = yield* welcomed(server, "ada")
        for (const token of ["eve", "nobody's"]) {
          const errors = client.frames.filter(({ type }) => type === "error").length
          client.send({ type: "auth", token })
          yield* eventually(
            "it is told",
            Effect.sync(() => client.frames.filter(({ type }) => type === "error").length > errors),
          )
        }
        client.send({ type: "event", id: "e1", name: "sq", data: 1 })
        yield* client.first("accepted")
        const [event] = yield* MemoryParts.events("ada", 1)
        assert.deepInclude(JSON.parse(event?.headers?.[callerHeader] ?? ""), { subject: "ada" })
        client.send({ type: "auth", token: "eve" })
        assert.strictEqual((yield* client.closed).reason, "UNAUTHENTICATED")
      }),
    )

    scenario("a token that may less than its session does is not taken, and what it may counts at once", (server) =>
      Effect.gen(function* () {
        tokens.set("less", { subject: "ada", capabilities: ["connect:{sub}", "ack", "send:*"] })
        tokens.set("other", { subject: "ada", capabilities: ["connect:{sub}", "ack", "read", "send:a"] })
        const client = yield* welcomed(server, "ada")
        client.send({ type: "auth", token: "less" })
        assert.strictEqual((yield* client.first("error"))["code"], "FORBIDDEN")
        client.send({ type: "auth", token: "other" })
        yield* client.first("authenticated")
        client.send({ type: "event", id: "e1", name: "b", data: 1 })
        assert.strictEqual((yield* client.first("refused"))["capability"], "send:b")
      }),
    )

    scenario("events are sampled no more once the token does not allow it", (server) =>
      Effect.gen(function* () {
        const capabilities = ["connect:{sub}", "ack", "read", "send:*"]
        tokens.set("ada", { subject: "ada", capabilities: [...capabilities, "journey"] })
        tokens.set("less", { subject: "ada", capabilities })
        const client = yield* welcomed(server, "ada", "journey=true")
        client.send({ type: "event", id: "e1", name: "sq", data: 1 })
        client.send({ type: "auth", token: "less" })
        yield* client.first("authenticated")
        client.send({ type: "event", id: "e2", name: "sq", data: 1 })
        const events = yield* MemoryParts.events("ada", 2)
        assert.deepStrictEqual(
          events.map(({ headers }) => Journey.isSampled(headers)),
          [true, false],
        )
      }),
    )

    scenario("nothing of it is kept once it is closed", (server) =>
      Effect.gen(function* () {
        assert.strictEqual(server.sessions(), 0)
        const client = yield* welcomed(server, "ada")
        assert.strictEqual(server.sessions(), 1)
        client.ws.close()
        yield* eventually(
          "it is forgotten",
          Effect.sync(() => server.sessions() === 0),
        )
      }),
    )

    scenario("nothing of it is kept that closes before it is known whose it is", () =>
      Effect.gen(function* () {
        const locks = yield* Authenticator
        const isKnown = yield* Deferred.make<void>()
        const slow = Authenticator.of({
          ...locks,
          authenticate: (shown) => Effect.andThen(Deferred.await(isKnown), locks.authenticate(shown)),
        })
        const server = yield* Effect.provideService(start(), Authenticator, slow)
        const client = yield* open(server, undefined)
        const raw: unknown = Reflect.get(client.ws, "_socket")
        if (!(raw instanceof Socket)) return assert.fail("a WebSocket without a socket")
        // In one piece: what comes after the token is not read.
        raw.cork()
        client.send({ type: "auth", token: "ada" })
        client.ws.close()
        raw.uncork()
        yield* client.closed
        yield* Deferred.succeed(isKnown, undefined)
        yield* eventually(
          "it is known",
          Effect.sync(() => audited("login", "OK").length === 1),
        )
        assert.strictEqual(server.sockets(), 0)
      }),
    )

    scenario("an order that revokes it ends it, and it does not come back", (server) =>
      Effect.gen(function* () {
        tokens.set("ada", { subject: "ada", tokenId: "t1" })
        const client = yield* welcomed(server, "ada")
        const eve = yield* welcomed(server, "eve")
        const { order } = yield* Revocations
        const expires_s = (yield* now_s) + 600
        yield* order({ _tag: "Token", issuer: Locks.issuer, tokenId: "t1", expires_s })
        yield* turnedAway(client, "TOKEN_REVOKED", "TOKEN_REVOKED")
        yield* turnedAway(yield* open(server, "ada"), "TOKEN_REVOKED", "TOKEN_REVOKED")
        eve.send({ type: "ping" })
        yield* eve.first("pong")
      }),
    )
  })

  describe("is superseded by the same subject alone", () => {
    const shared = (subject: string): Locks.Said => ({
      subject,
      capabilities: ["connect:desk", "read", "ack", "send:*"],
    })
    const at = (server: Server, token: string) => open(server, token, "clientId=desk")

    scenario("at this gateway: another subject is refused, uses nobody's turn, and the session goes on", (server) =>
      Effect.gen(function* () {
        tokens.set("ada", shared("ada")).set("eve", shared("eve"))
        const first = yield* at(server, "ada")
        yield* first.first("welcome")
        for (let i = 0; i < 15; i++) yield* turnedAway(yield* at(server, "eve"), "CLIENT_IN_USE", "CLIENT_IN_USE")
        first.send({ type: "ping" })
        yield* first.first("pong")
        const again = yield* at(server, "ada")
        yield* again.first("welcome")
        assert.strictEqual((yield* first.closed).reason, "SUPERSEDED")
        assert.deepInclude(audited("refused", "CLIENT_IN_USE")[0], { subject: "eve", detail: "connect:desk" })
      }),
    )

    scenario("at another gateway too, until the session is over", (server) =>
      Effect.gen(function* () {
        tokens.set("ada", shared("ada")).set("eve", shared("eve"))
        const other = yield* start()
        const first = yield* at(server, "ada")
        yield* first.first("welcome")
        yield* turnedAway(yield* at(other, "eve"), "CLIENT_IN_USE", "CLIENT_IN_USE")
        first.ws.close()
        const { statuses } = yield* Registry
        yield* eventually(
          "it is OFFLINE",
          Effect.map(statuses([ClientId.make("desk")]), ([status]) => status?._tag === "OFFLINE"),
        )
        yield* (yield* at(other, "eve")).first("welcome")
        yield* turnedAway(yield* at(server, "ada"), "CLIENT_IN_USE", "CLIENT_IN_USE")
      }),
    )

    scenario("also where both wait for their turn: each has one of its own", () =>
      Effect.gen(function* () {
        tokens.set("ada", shared("ada")).set("eve", shared("eve"))
        const server = yield* start({ limits: { ...limits, openings_in_a_row: 1, opening_every_ms: 600_000 } })
        const first = yield* at(server, "eve")
        yield* first.first("welcome")
        first.ws.close()
        yield* eventually(
          "it has gone",
          Effect.sync(() => server.delivery.size() === 0),
        )
        const waiting = yield* at(server, "eve")
        yield* (yield* at(server, "ada")).first("welcome")
        assert.isEmpty(waiting.frames)
      }),
    )

    scenario("at a gateway that is gone nobody is connected, whatever the registry says", (server) =>
      Effect.gen(function* () {
        tokens.set("ada", shared("ada")).set("eve", shared("eve"))
        const { livePods, release } = yield* Registry
        const first = yield* at(server, "ada")
        yield* first.first("welcome")
        const { pod } = server.delivery
        assert.include(yield* livePods, pod)
        const other = yield* start({ limits: { ...limits, lease_check_ms: 600_000 } })
        yield* turnedAway(yield* at(other, "eve"), "CLIENT_IN_USE", "CLIENT_IN_USE")
        yield* release(pod)
        yield* (yield* at(other, "eve")).first("welcome")
      }),
    )
  })
})
