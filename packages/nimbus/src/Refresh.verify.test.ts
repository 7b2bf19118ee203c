/**
 * Two thousand clients whose tokens end again and again while they send: their connections go on, and nothing is lost.
 *
 * The server is `nimbus start` with a shared secret, and the clients are the SDK's. A token lives for little more than the
 * minute before whose end a client is told, so each is replaced after some seconds, and every token that a connection was
 * opened with has ended before the test does. One client has no other token: it shows that they do end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client, isLost, Memory } from "@nimbus/client"
import { Issuer } from "@nimbus/adapters/testing/tokens"
import { eventually } from "@nimbus/domain/testing"
import { Clock, Effect } from "effect"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

const clients = 2_000
const issuer = "https://issuer.test"
const secret = "a secret of this test, of 32 bytes or more"
/** Told a minute before: renewed after 4 to 14 s. */
const lives_s = { least: 64, spread: 10 }
/** Beyond the longest life of a token. */
const lasts_s = 90
const sends_every_ms = 4_000

const tokenOf = (sub: string, lives_s: number): Promise<string> =>
  Issuer.signBySecret(secret, issuer, { sub, exp: Math.floor(Date.now() / 1000) + lives_s })

/** What one client has sent, and the numbers of its results as they came. */
interface Account {
  readonly clientId: string
  readonly client: Client.Client
  asked: number
  sent: number
  readonly numbers: Array<unknown>
  losses: number
}

const open = Effect.fnUntraced(function* (
  url: string,
  clientId: string,
  token: () => Promise<string>,
  limits: Client.ClientOptions["limits"] = {},
) {
  const account = { clientId, asked: 0, sent: 0, numbers: Array<unknown>(), losses: 0 }
  const source = () => {
    account.asked += 1
    return token()
  }
  const client = yield* Client.make({ url, clientId, token: source, limits }).pipe(
    Effect.provide(Memory.layerMemory, { local: true }),
  )
  yield* Effect.forkScoped(
    client.run((delivery) =>
      Effect.sync(() => {
        if (isLost(delivery)) account.losses += 1
        else account.numbers.push(delivery.data)
      }),
    ),
  )
  return Object.assign(account, { client }) satisfies Account as Account
})

/** Sends until then, now and again. */
const load = Effect.fnUntraced(function* (account: Account, until_ms: number, first_ms: number) {
  yield* Effect.sleep(first_ms)
  while ((yield* Clock.currentTimeMillis) < until_ms) {
    yield* account.client.send("event", account.sent)
    account.sent += 1
    yield* Effect.sleep(sends_every_ms)
  }
})

describe("tokens that end under load", () => {
  it.live(
    `are replaced on ${clients} connections, of which none is lost, and neither is a result`,
    () =>
      Effect.gen(function* () {
        const port = yield* freePort
        yield* startServer({
          cwd: yield* temporaryDirectory,
          env: {
            ...withoutArchive,
            NIMBUS_HTTP_PORT: `${port}`,
            NIMBUS_AUTH_ISSUER: issuer,
            NIMBUS_AUTH_AUDIENCE: "nimbus",
            NIMBUS_AUTH_SECRET: secret,
          },
        })
        const url = `ws://127.0.0.1:${port}`
        const last = yield* Effect.promise(() => tokenOf("last", lives_s.least))
        const lastOne = yield* open(url, "last", () => Promise.resolve(last), {
          reconnect_min_ms: 10_000,
          reconnect_max_ms: 10_000,
        })
        const ids = Array.from({ length: clients }, (_, i) => i)
        const accounts = yield* Effect.forEach(
          ids,
          (i) => {
            const lives = lives_s.least + (i % lives_s.spread)
            return Effect.tap(
              open(url, `c${i}`, () => tokenOf(`c${i}`, lives)),
              ({ client }) =>
                eventually(
                  `c${i} is connected`,
                  Effect.map(client.stats, ({ connections }) => connections > 0),
                  60_000,
                ),
            )
          },
          { concurrency: 100 },
        )
        const begun_ms = yield* Clock.currentTimeMillis
        yield* Effect.forEach(
          accounts,
          (account, i) => load(account, begun_ms + lasts_s * 1_000, (i * sends_every_ms) / clients),
          { concurrency: "unbounded", discard: true },
        )
        yield* eventually(
          "all results",
          Effect.sync(() => accounts.every(({ numbers, sent }) => numbers.length >= sent)),
          60_000,
        )
        let [renewals, results] = [0, 0]
        for (const { asked, client, clientId, losses, numbers, sent } of accounts) {
          const { connections, outOfOrder, refused, repeats, resent } = yield* client.stats
          assert.deepStrictEqual(
            { connections, outOfOrder, refused, repeats, resent, losses },
            { connections: 1, outOfOrder: 0, refused: 0, repeats: 0, resent: 0, losses: 0 },
            clientId,
          )
          assert.deepStrictEqual(numbers, ids.slice(0, sent), clientId)
          assert.isAtLeast(asked, 4, `${clientId} has renewed its token`)
          renewals += asked - 1
          results += numbers.length
        }
        console.log(`${clients} clients: ${renewals} tokens renewed, ${results} results, no reconnect`)
        assert.strictEqual((yield* lastOne.client.stats).connections, 1)
        assert.strictEqual(yield* lastOne.client.currentStatus, "OFFLINE", "the session ended with its token")
      }),
    300_000,
  )
})
