/**
 * Attacks on `nimbus start` with locks: each is refused, and comes to nothing. An honest client works during all of them,
 * and is shown each of its results once, on the connection that it had; the mail of one that is away stays as it is.
 *
 * What any token at all may try is the matrix of `Locks.test.ts`; here are those who go about it in another way. What
 * browsers are made to send is in `LocksInBrowsers.verify.test.ts`.
 */
import { assert, layer } from "@effect/vitest"
import { eventually, within } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { vi } from "vitest"
import { adminToken, connectWith, locked, tokenOf } from "./testing/LockedClients.ts"
import { connect } from "./testing/RawClient.ts"
import type { Place } from "./testing/locks/Attempt.ts"
import {
  byId,
  failures_per_s,
  harmless,
  isKnown,
  mailBytes,
  newIds,
  owner,
  Stage,
  waiting,
} from "./testing/locks/AttackedServer.ts"
import { mailOf } from "./testing/locks/Honest.ts"
import { ask, call, chat, knock, streams } from "./testing/locks/Strangers.ts"

// On a machine that is busy with other tests.
vi.setConfig({ testTimeout: 180_000 })

const mallory = { token: tokenOf("mallory") }

const many = <A>(count: number, one: (i: number) => Promise<A>) =>
  Effect.promise(() => Promise.all(Array.from({ length: count }, (_, i) => one(i))))

const each = <A, B>(all: ReadonlyArray<A>, one: (item: A) => Promise<B>) =>
  Effect.forEach(all, (item) => Effect.promise(() => one(item)))

const lookalikes = [
  ..."Alice,ALICE, alice,alice ,alice\0,\u0430lice,alice\u200b,%61lice,alice.,sub.alice,at.partners.alice".split(","),
  ..."alice::phone,alice/phone,alice:3A:3Aphone,{sub},*,alice*,alice\n,\u202ealice".split(","),
]

layer(Stage.layer, { excludeTestServices: true, timeout: 180_000 })("a server with locks", (it) => {
  it.effect("lets in nobody as another client for a subject that looks like it", () =>
    harmless((place) =>
      Effect.gen(function* () {
        for (const sub of lookalikes) {
          const token = tokenOf(sub)
          assert.strictEqual(
            yield* Effect.promise(() => knock(place, "/v1/stream", "clientId=alice", { token })),
            "FORBIDDEN 4504",
            JSON.stringify(sub),
          )
          assert.strictEqual(yield* Effect.promise(() => call(place, "alice", { token })), "FORBIDDEN")
          const own = yield* Effect.promise(() => knock(place, "/v1/stream", "", { token }))
          assert.notMatch(own, /^welcome alice(::.*)?$/, JSON.stringify(sub))
        }
      }),
    ),
  )

  it.effect("lets nobody name two clients, of which one is its own", () =>
    harmless((place) =>
      each(
        ["clientId=mallory&clientId=alice", "clientId=alice&clientId=mallory", "clientId=alic%65"],
        async (query) => {
          for (const path of streams) assert.notMatch(await knock(place, path, query, mallory), /welcome (?!mallory)/)
        },
      ),
    ),
  )

  it.effect("takes nothing of what an event says about whose it is", () =>
    harmless(({ http }) =>
      Effect.gen(function* () {
        const headers = { authorization: `Bearer ${mallory.token}` }
        const client = yield* connect(http, "", { headers })
        const caller = { clientId: "alice", client: "alice", headers: { "nimbus-caller": "alice" }, caller: "alice" }
        client.send({ type: "event", id: "m1", name: "sq", data: { number: 9, ...caller }, ...caller })
        client.send({ type: "event", id: "m2", name: "sq", data: { number: 3 } })
        yield* eventually(
          "both are answered",
          Effect.sync(() => client.results().length === 2),
        )
        assert.deepStrictEqual(
          client.results().map(({ id }) => id),
          ["m1", "m2"],
        )
      }).pipe(Effect.scoped),
    ),
  )

  it.effect("lets nobody acknowledge for another: by `after`, or as itself with what is beyond its own", () =>
    harmless((place) =>
      Effect.gen(function* () {
        for (const path of streams) {
          for (const after of [0, 5, 2 ** 40]) {
            const query = `clientId=bob&after=${after}`
            assert.strictEqual(yield* Effect.promise(() => knock(place, path, query, mallory)), "FORBIDDEN 4504")
          }
        }
        const reader = { token: tokenOf("mallory", { nimbus: ["connect:bob", "read"] }) }
        assert.strictEqual(
          yield* Effect.promise(() => knock(place, "/v1/stream", "clientId=bob&ack=client&after=5", reader)),
          "FORBIDDEN 4504",
        )
        const client = yield* connect(place.http, "", { headers: { authorization: `Bearer ${mallory.token}` } })
        client.send({ type: "ack", seq: 2 ** 40, clientId: "bob" })
        yield* eventually(
          "it is told that it was sent nothing like that",
          Effect.sync(() => client.frames.some((frame) => "code" in frame && frame.code === "ACK_BEYOND_SENT")),
        )
      }).pipe(Effect.scoped),
    ),
  )

  it.effect("lets no stranger supersede a client, even where both may be it, on any transport, however often", () =>
    harmless((place) =>
      Effect.gen(function* () {
        const token = tokenOf("mallory", { nimbus: ["connect:alice", "read", "ack", "send:*"] })
        for (const path of streams) {
          const outcomes = yield* many(20, () => knock(place, path, "clientId=alice", { token }))
          assert.deepStrictEqual([...new Set(outcomes)], ["CLIENT_IN_USE 4505"])
        }
        const outcomes = yield* many(20, () => call(place, "alice", { token }))
        assert.deepStrictEqual([...new Set(outcomes)], ["CLIENT_IN_USE"])
      }),
    ),
  )

  it.effect("lets a client come back at once, however many strangers ask to be it meanwhile", () =>
    harmless((place) =>
      Effect.gen(function* () {
        const dora = { token: tokenOf("dora") }
        const attempts = (how: typeof dora) => many(100, () => knock(place, "/v1/stream", "clientId=dora", how))
        const back = each(Array.from({ length: 8 }), () => knock(place, "/v1/stream", "", dora)).pipe(
          // With turns that strangers have used it would be minutes.
          within("dora is back eight times"),
        )
        const [came, ...strangers] = yield* Effect.all([back, attempts(mallory), attempts({ token: "a.b.c" })], {
          concurrency: 3,
        })
        assert.deepStrictEqual([...new Set(came)], ["welcome dora"])
        assert.sameMembers([...new Set(strangers.flat())], ["FORBIDDEN 4504", "TOKEN_INVALID 4502"])
      }),
    ),
  )

  it.effect("keeps the mail of other senders, whatever a stranger sends", () =>
    harmless((place) =>
      Effect.gen(function* () {
        const flooder = { token: tokenOf("flooder", { nimbus: ["publish:carol"] }), from: "203.0.113.1" }
        const news = { token: tokenOf("news", { nimbus: ["publish:carol"] }) }
        const send = (id: string, who: typeof news, size: number) =>
          ask(place, "/v1/clients/carol/messages", who, { id, name: "news", data: "x".repeat(size) })
        assert.strictEqual((yield* Effect.promise(() => send("first", news, 10))).status, 200)
        const answers = yield* many(60, (i) => send(`f${i}`, flooder, 10_000))
        const refused = answers.filter(({ code }) => code === "SUBJECT_MAIL")
        assert.strictEqual(refused.length + answers.filter(({ status }) => status === 200).length, 60)
        assert.isAbove(refused.length, 60 - mailBytes / 10_000)
        assert.isTrue(refused.every(({ retryAfter, status }) => status === 429 && retryAfter > 0))
        assert.strictEqual((yield* Effect.promise(() => send("last", news, 10))).status, 200)
        const mail = yield* mailOf(place.http, "carol", 60 - refused.length + 2)
        assert.includeMembers(
          mail.map(({ id }) => id),
          ["first", "last"],
        )
        const foreign = yield* Effect.promise(() =>
          ask(place, "/v1/clients/bob/messages", flooder, { name: "news", data: 1 }),
        )
        assert.deepInclude(foreign, { status: 403, code: "FORBIDDEN" })
      }),
    ),
  )

  it.effect("lets nobody use up ids: strangers make none, and a subject as many as it may", () =>
    harmless((place) =>
      Effect.gen(function* () {
        const anybody = yield* many(50, (i) => knock(place, "/v1/stream", `clientId=ghost${i}`, mallory))
        assert.deepStrictEqual([...new Set(anybody)], ["FORBIDDEN 4504"])
        for (const i of [0, 49]) assert.isFalse(yield* isKnown(place, `ghost${i}`))
        const token = tokenOf("fleet", { nimbus: ["connect:fleet*", "publish:fleet*", "read", "ack"] })
        const outcomes = yield* Effect.forEach(
          Array.from({ length: 3 * newIds }, (_, i) => `fleet${i}`),
          (id) => Effect.promise(() => knock(place, "/v1/stream", `clientId=${id}`, { token })),
        )
        assert.strictEqual(outcomes.filter((outcome) => outcome.startsWith("welcome")).length, newIds)
        assert.strictEqual(outcomes.filter((outcome) => outcome === "SUBJECT_NEW_IDS 4007").length, 2 * newIds)
        const message = { name: "news", data: 1 }
        const sent = yield* many(10, (i) => ask(place, `/v1/clients/fleet9${i}9/messages`, { token }, message))
        assert.deepStrictEqual([...new Set(sent.map(({ code }) => code))], ["SUBJECT_NEW_IDS"])
        assert.strictEqual(yield* Effect.promise(() => call(place, "fleet999", { token })), "SUBJECT_NEW_IDS")
        assert.isFalse(yield* isKnown(place, "fleet999"))
        // Another subject may have as many.
        const other = { token: tokenOf("other", { nimbus: ["connect:device*", "read", "ack"] }) }
        assert.match(
          yield* Effect.promise(() => knock(place, "/v1/stream", "clientId=device1", other)),
          /^welcome device1$/,
        )
      }),
    ),
  )

  const guess = (i: number) => `${tokenOf("alice").slice(0, -6)}${String(i).padStart(6, "A")}`
  const enough = 20 * failures_per_s + 100
  const doors: ReadonlyArray<readonly [string, (place: Place, i: number, from: string) => Promise<string>]> = [
    ["HTTP", async (place, i, from) => (await ask(place, "/v1/tickets", { token: guess(i), from }, {})).code],
    ["a WebSocket", (place, i, from) => knock(place, "/v1/stream", "clientId=alice", { token: guess(i), from })],
    ["a first frame", (place, i, from) => knock(place, "/v1/stream", "", { later: guess(i), from })],
    ["a cookie", (place, i, from) => knock(place, "/v1/stream", "", { cookie: guess(i), from })],
    ["a ticket", (place, i, from) => knock(place, "/v1/stream", `ticket=${guess(i).slice(-32)}`, { from })],
    ["gRPC", (place, i, from) => call(place, "alice", { token: guess(i), from })],
    ["Socket.IO", (place, i, from) => chat(place, "lobby", { token: guess(i), from })],
  ]
  doors.forEach(([door, attempt], at) =>
    it.effect(`looks at no more tokens of whoever guesses them by ${door}, at whichever door`, () =>
      harmless((place) =>
        Effect.gen(function* () {
          const from = `203.0.113.1${at}`
          const heard = new Set<string>()
          for (let i = 0; i < enough; i += 50) {
            for (const outcome of yield* many(50, (j) => attempt(place, i + j, from))) heard.add(outcome)
          }
          const codes = new Set([...heard].map((outcome) => outcome.split(" ")[0]))
          assert.isTrue(codes.delete("TOKEN_INVALID"))
          assert.include([["429"], ["TOO_MANY_FAILURES"]].map(String), String([...codes]))
          // Nor at the right one, while it goes on guessing.
          const right = { token: tokenOf("mallory"), from }
          const tries: ReadonlyArray<readonly [string, () => Promise<string>]> = [
            ["TOO_MANY_FAILURES", async () => (await ask(place, "/v1/tickets", right, {})).code],
            ["429", () => knock(place, "/v1/stream", "", right)],
            ["TOO_MANY_FAILURES", () => call(place, "mallory", right)],
            ["429", () => chat(place, "lobby", right)],
          ]
          for (const [refused, attempt] of tries) {
            yield* eventually(
              `${refused}, whatever it shows`,
              Effect.gen(function* () {
                yield* many(10, (i) => ask(place, "/v1/tickets", { token: guess(i), from }, {}))
                return (yield* Effect.promise(attempt)) === refused
              }),
            )
          }
          // Whoever comes from elsewhere comes in.
          assert.strictEqual(yield* Effect.promise(() => knock(place, "/v1/stream", "", mallory)), "welcome mallory")
        }),
      ),
    ),
  )

  it.effect("lets whoever guesses the admin's token wait ever longer, and the operator in meanwhile", () =>
    harmless((place) =>
      Effect.gen(function* () {
        const from = "203.0.113.50"
        const look = (token: string, from?: string) =>
          Effect.promise(() => ask(place, "/v1/admin/status", { token, from }))
        assert.strictEqual((yield* look(adminToken)).status, 200)
        const waits: Array<number> = []
        for (let i = 0; waits.length < 2; i++) {
          assert.isBelow(i, 1_000)
          const { code, retryAfter, status } = yield* look(`${adminToken}${i}`, from)
          if (status === 401) continue
          assert.deepStrictEqual([status, code], [429, "TOO_MANY_LOGINS"])
          assert.isAbove(retryAfter, 0)
          waits.push(retryAfter)
        }
        // The right one tells nothing while it waits, and works from elsewhere.
        assert.strictEqual((yield* look(adminToken, from)).code, "TOO_MANY_LOGINS")
        assert.strictEqual((yield* look(adminToken)).status, 200)
      }),
    ),
  )

  it.effect("lets no revoked token in again: at no door, for no new one, and not after kill -9", () =>
    Effect.gen(function* () {
      const { alice, killAndStart, place } = yield* Stage
      const token = tokenOf("mallory", {
        jti: "stolen",
        nimbus: ["connect:{sub}", "read", "ack", "publish:mallory", "room:join:*"],
      })
      const used = yield* connectWith(place.http, token)
      const ticket = yield* Effect.promise(() => ask(place, "/v1/tickets", { token }, {}))
      const order = { issuer: locked.NIMBUS_AUTH_ISSUER, tokenId: "stolen" }
      const said = yield* Effect.promise(() => ask(place, "/v1/admin/revocations", owner, order))
      assert.strictEqual(said.status, 200, JSON.stringify(said.body))
      const again = Effect.gen(function* () {
        for (const path of streams) {
          assert.strictEqual(yield* Effect.promise(() => knock(place, path, "", { token })), "TOKEN_REVOKED 4503")
        }
        assert.strictEqual(yield* Effect.promise(() => call(place, "mallory", { token })), "TOKEN_REVOKED")
        assert.strictEqual(yield* Effect.promise(() => chat(place, "lobby", { token })), "TOKEN_REVOKED")
        for (const [path, body] of [
          ["/v1/tickets", {}],
          ["/v1/clients/mallory/messages", { name: "news", data: 1 }],
        ] as const) {
          assert.strictEqual((yield* Effect.promise(() => ask(place, path, { token }, body))).code, "TOKEN_REVOKED")
        }
        const id = Object(ticket.body).ticket
        assert.notMatch(yield* Effect.promise(() => knock(place, "/v1/stream", `ticket=${id}`, {})), /welcome/)
      })
      yield* alice.unharmedBy(again)
      assert.strictEqual(used.closed(), 4503)
      yield* alice.servedDespite(Effect.andThen(killAndStart, again))
      assert.deepStrictEqual(byId(yield* mailOf(place.http, "bob", waiting.length)), byId(waiting))
    }).pipe(Effect.scoped),
  )
})
