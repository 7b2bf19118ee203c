/** Every transport on embedded parts: `nimbus start`, killed with -9 and started again on the same directory. */
import { Effect, Layer, Scope } from "effect"
import { transportStory, TestEnvironment } from "./testing/transportStory.ts"
import { freePort, startServer, temporaryDirectory } from "./testing/Processes.ts"

const testEnvironment = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const place = { http: yield* freePort, grpc: yield* freePort }
  const env = { NIMBUS_HTTP_PORT: `${place.http}`, NIMBUS_PORT: `${place.grpc}` }
  const start = Effect.provideService(startServer({ cwd: yield* temporaryDirectory, env }), Scope.Scope, scope)
  let server = yield* start
  const killed = Effect.gen(function* () {
    yield* server.kill("SIGKILL")
    yield* server.ended
    server = yield* start
  })
  return TestEnvironment.of({ next: () => place, here: () => place, disasters: [killed, killed] })
})

transportStory("every transport of nimbus start", Layer.effect(TestEnvironment, testEnvironment))
