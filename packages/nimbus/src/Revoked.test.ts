/** Orders by which tokens and subjects count no more, on the embedded server: live, after kill -9, and without a server. */
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { json } from "./testing/adminStory.ts"
import { connectWith, locked, type LockedClient, tokenOf } from "./testing/LockedClients.ts"
import { operator } from "./testing/Operator.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

const closed = (client: LockedClient, what: string) =>
  eventually(
    what,
    Effect.sync(() => client.closed() !== undefined),
  )
const opened = (client: LockedClient, what: string) =>
  eventually(
    what,
    Effect.sync(() => client.isOpen() || client.closed() !== undefined),
  )

describe("the embedded server with locks", () => {
  it.live(
    "ends what is revoked or blocked, lets it in no more, also after kill -9, and says who did it",
    () =>
      Effect.gen(function* () {
        const cwd = yield* temporaryDirectory
        const port = yield* freePort
        const env = { ...withoutArchive, ...locked, NIMBUS_DATA: join(cwd, "data"), NIMBUS_HTTP_PORT: `${port}` }
        const run = operator(env)
        const server = yield* startServer({ cwd, env })
        const [alice, bob] = [tokenOf("alice"), tokenOf("bob", { jti: "one" })]
        const sockets = [yield* connectWith(port, alice), yield* connectWith(port, bob)] as const
        for (const socket of sockets) yield* opened(socket, "a client with a token is in")
        assert.deepStrictEqual(
          sockets.map(({ isOpen }) => isOpen()),
          [true, true],
        )

        assert.isTrue(json(yield* run("block", "alice", "--json")).isNew)
        yield* closed(sockets[0], "the connection of a blocked subject ends")
        assert.strictEqual(sockets[0].closed(), 4503)
        assert.isUndefined(sockets[1].closed())
        assert.isTrue(json(yield* run("revoke", "token", "one", "--json")).isNew)
        yield* closed(sockets[1], "the connection of a revoked token ends")
        assert.strictEqual(sockets[1].closed(), 4503)
        assert.isFalse(json(yield* run("block", "alice", "--json")).isNew)
        assert.include((yield* run("unblock", "carol")).stdout, "carol of https://issuer.test is not blocked")

        yield* eventually(
          "the audit is written",
          Effect.map(run("audit", "--action", "revoke", "--json"), (said) => json(said).entries.length >= 3),
        )
        yield* server.kill("SIGKILL")
        yield* server.ended
        const again = yield* startServer({ cwd, env })
        const back = [
          yield* connectWith(port, alice),
          yield* connectWith(port, bob),
          yield* connectWith(port, tokenOf("bob", { jti: "two" })),
        ]
        for (const socket of back) yield* opened(socket, "they come back")
        assert.deepStrictEqual(
          back.map((socket) => socket.closed()),
          [4503, 4503, undefined],
        )
        assert.strictEqual(json(yield* run("revocations", "--json")).count, 2)
        const { revocations } = json(yield* run("revocations", "--search", "ali", "--json"))
        assert.deepInclude(revocations[0], { _tag: "Block", issuer: "https://issuer.test", subject: "alice" })

        assert.isTrue(json(yield* run("unblock", "alice", "--json")).isNew)
        const freed = yield* connectWith(port, alice)
        yield* opened(freed, "an unblocked subject is in")
        assert.isTrue(freed.isOpen())

        // A crash may lose what was recorded just before it: entries are collected for a moment.
        const kinds = Effect.map(run("audit", "--json"), (said) =>
          json(said).entries.map(
            ({ action, detail = "", outcome, subject }: Readonly<Record<string, string>>) =>
              `${action} ${outcome} ${subject} ${action === "revoke" ? detail.split(" ")[0] : ""}`,
          ),
        )
        const expected = [
          "login OK alice ",
          "login OK bob ",
          "refused TOKEN_REVOKED alice ",
          "refused TOKEN_REVOKED bob ",
        ]
        const byOwner = ["block", "revoke", "unblock"].map((order) => `revoke OK NIMBUS_ADMIN_TOKEN ${order}`)
        yield* eventually(
          "the audit has all of it",
          Effect.map(kinds, (found) => [...expected, ...byOwner].every((kind) => found.includes(kind))),
        )
        const { entries } = json(yield* run("audit", "--action", "revoke", "--json"))
        assert.isTrue(entries.every(({ action }: { readonly action: string }) => action === "revoke"))
        const { stdout } = yield* run("audit", "--json", "--limit", "1000")
        for (const token of [alice, bob, locked.NIMBUS_ADMIN_TOKEN]) assert.notInclude(stdout, token)
        assert.include((yield* run("audit", "--subject", "alice")).stdout, "login")

        // Nobody runs: the stores themselves are asked.
        yield* again.kill("SIGTERM")
        yield* again.ended
        assert.include((yield* run("revoke", "subject", "dave")).stdout, "the tokens of dave so far")
        assert.strictEqual(json(yield* run("revocations", "--json")).count, 2)
        assert.deepInclude(json(yield* run("audit", "--json")).entries[0], { action: "revoke", transport: "command" })
        const unlocked = operator({ ...withoutArchive, NIMBUS_DATA: env.NIMBUS_DATA })
        assert.strictEqual((yield* unlocked("block", "alice")).code, "NOT_POSSIBLE")
      }),
    240_000,
  )
})
