/** All of Nimbus by TLS, with the clients that people have. */
import { connect as connectHttp2 } from "node:http2"
import { join } from "node:path"
import { writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Client, Memory } from "@nimbus/client"
import { Handlers } from "@nimbus/domain/services"
import { Gateway, GrpcServer } from "@nimbus/gateway"
import { Certificates, GrpcClient } from "@nimbus/gateway/testing"
import { Effect, Layer } from "effect"
import { trusting } from "../../../scripts/services/Tls.ts"
import * as Nimbus from "./Nimbus.ts"
import { hasShown, oneTo, sendNumbers, show } from "./testing/Squares.ts"
import { freePort, nimbus, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

const names = "DNS:localhost,IP:127.0.0.1"

/** A directory for `NIMBUS_TLS`, and the file of its authority. */
const certified = Effect.gen(function* () {
  const { ca, sign } = yield* Certificates.authority
  const directory = yield* Certificates.directoryWith(yield* sign(names))
  const file = join(yield* temporaryDirectory, "ca.crt")
  writeFileSync(file, ca)
  return { ca, directory, file, sign }
})

describe("Nimbus by TLS", () => {
  it.live("answers the SDK while its certificate changes, and gRPC, and the API", () =>
    Effect.gen(function* () {
      const { ca, directory, file, sign } = yield* certified
      yield* trusting(file)
      const services = yield* Layer.build(
        Nimbus.layerMemory({ tls: directory, limits: { certificate_check_ms: 20 } }).pipe(
          Layer.provide(Handlers.layer(Handlers.samples)),
          Layer.provideMerge(Memory.layerMemory),
        ),
      )
      yield* Effect.gen(function* () {
        const url = yield* Nimbus.url
        assert.match(url, /^wss:\/\/127\.0\.0\.1:/)
        const client = yield* Client.make({ url, clientId: "ann" })
        const shown: Array<number> = []
        yield* Effect.forkScoped(show(client, shown))
        yield* sendNumbers(client, 1, 500)
        Certificates.write(directory, yield* sign(names))
        yield* sendNumbers(client, 501, 1_000)
        yield* hasShown(shown, 1_000)
        assert.deepStrictEqual(shown, oneTo(1_000))

        const session = connectHttp2(`https://127.0.0.1:${(yield* GrpcServer).port}`, { ca })
        const call = yield* GrpcClient.connect({ port: 0, metadata: { client_id: "ben" }, session })
        call.square(...oneTo(1_000))
        yield* call.hasResults(1_000)

        const http = yield* Gateway.url
        const said = yield* Effect.promise(async () => (await fetch(`${http}/readyz`)).text())
        assert.strictEqual(said, "ready\n")
      }).pipe(Effect.provideContext(services))
    }).pipe(Effect.scoped),
  )

  it.live("is started by nimbus start, which says so, and asked by its commands", () =>
    Effect.gen(function* () {
      const { directory, file } = yield* certified
      const cwd = yield* temporaryDirectory
      const port = yield* freePort
      const env = { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}`, NIMBUS_TLS: directory, NODE_EXTRA_CA_CERTS: file }
      const server = yield* startServer({ cwd, env })
      assert.include(server.stdout(), `wss://127.0.0.1:${port}/v1/stream`)
      assert.include(server.stdout(), `https://127.0.0.1:${port}/\n`)
      assert.include(server.stdout(), "by TLS")
      const asked = yield* nimbus(["status"], { cwd, env })
      assert.deepStrictEqual(yield* asked.ended, { code: 0, signal: null }, asked.stderr())
      const sends = ["client", "--client_id=you", "--start=1", "--end=10", `--addr=wss://127.0.0.1:${port}`]
      const client = yield* nimbus(sends, { cwd, env })
      assert.deepStrictEqual(yield* client.ended, { code: 0, signal: null }, client.stderr())
    }).pipe(Effect.scoped),
  )
})
