/** Where the sample gRPC client is tried: a server to be started on a port, and the client that calls it there. */
import { Effect } from "effect"
import { freePort, nimbus, temporaryDirectory, withoutArchive } from "./Processes.ts"

export const place = Effect.gen(function* () {
  const cwd = yield* temporaryDirectory
  const port = yield* freePort
  const env = { ...withoutArchive, NIMBUS_HTTP_PORT: `${yield* freePort}`, NIMBUS_PORT: `${port}` }
  const client = (...args: ReadonlyArray<string>) =>
    nimbus(["grpc-client", `--addr=127.0.0.1:${port}`, ...args], { cwd })
  return { server: { cwd, env }, client }
})
