/** A page that uses the SDK by Effect, as docs say to import it. Only bundled, to be weighed. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Client, Memory } from "../index.ts"

await Effect.gen(function* () {
  const client = yield* Client.make({ url: "wss://gateway.example", clientId: "c1" })
  yield* client.send("sq", { number: 7 })
  yield* Stream.runForEach(client.results, (delivery) => Effect.sync(() => console.log(delivery)))
}).pipe(Effect.scoped, Effect.provide(Memory.layerStorage(localStorage)), Effect.runPromise)
