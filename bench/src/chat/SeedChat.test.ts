/** Unmodified clients of scalable-chat-app on the embedded server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpServer } from "effect/http"
import { serverOn, storesIn, temporaryDirectory } from "./EmbeddedStores.ts"
import { assertSame, converse, libraries, startSeed } from "./SeedChat.ts"

const withServer = <A>(use: (url: string) => Promise<A>, directory: string) =>
  HttpServer.addressFormattedWith((url) => Effect.promise(() => use(url))).pipe(
    Effect.scoped,
    Effect.provide(serverOn(storesIn(directory)), { local: true }),
  )

describe("A client of scalable-chat-app on the embedded server", () => {
  for (const [name, connect] of Object.entries(libraries)) {
    it.live(`${name} gets every packet that its own server sends`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const seed = yield* Effect.acquireRelease(
          Effect.promise(() => startSeed()),
          ({ close }) => Effect.promise(() => close()),
        )
        const expected = yield* Effect.promise(() => converse(connect, [seed.url]))
        assertSame(yield* withServer((url) => converse(connect, [url]), directory), expected)
      }).pipe(Effect.scoped),
    )
  }

  it.live("one of Socket.IO 2 is refused, as it is by Socket.IO's own server", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const seed = yield* Effect.acquireRelease(
        Effect.promise(() => startSeed()),
        ({ close }) => Effect.promise(() => close()),
      )
      const ask = async (url: string) => {
        const response = await fetch(`${url}/socket.io/?EIO=3&transport=polling`)
        return [response.status, await response.json()]
      }
      const expected = yield* Effect.promise(() => ask(seed.url))
      assert.deepStrictEqual(yield* withServer(ask, directory), expected)
      assert.propertyVal(expected[1], "message", "Unsupported protocol version")
    }).pipe(Effect.scoped),
  )
})
