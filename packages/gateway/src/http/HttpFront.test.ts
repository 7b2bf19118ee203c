import { once } from "node:events"
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { HttpServer } from "effect/http"
import { Addresses } from "../addresses/Addresses.ts"
import { Limits } from "../Limits.ts"
import * as HttpFront from "./HttpFront.ts"

const front = HttpFront.layerWith({ host: "127.0.0.1", port: 0 }).pipe(
  Layer.provide(Addresses.layerWith({})),
  Layer.provide(Limits.layerWith({ close_ms: 20 })),
)

/** A connection on which this was sent. */
const open = (address: string, text: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = connect(Number(new URL(address).port), "127.0.0.1")
      await once(socket, "connect")
      socket.write(text)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy()),
  )

describe("HttpFront", () => {
  it.live.each([
    { what: "has asked for nothing", text: "" },
    { what: "has sent half a request", text: "GET /healthz HTTP/1.1\r\n" },
  ])("does not wait long, on the way down, for a connection that $what", ({ text }) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(front, scope)
      const address = yield* Effect.provideContext(HttpServer.addressFormattedWith(Effect.succeed), services)
      const socket = yield* open(address, text)
      // Ended or reset: it is closed.
      socket.on("error", () => {})
      const closed = new Promise((resolve) => socket.resume().once("close", resolve))
      yield* Scope.close(scope, Exit.void)
      yield* Effect.promise(() => closed)
      assert.isTrue(socket.destroyed)
    }),
  )
})
