import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Client from "../Client.ts"
import { layerMemory } from "../Memory.ts"
import { GatewayModel } from "../testing/GatewayModel.ts"
import { serve } from "../testing/SocketServer.ts"
import { connected } from "./ClientCommand.ts"
import { run } from "./Run.ts"
import { isComplete } from "./Summary.ts"

/** A gateway on a real socket. It responds immediately, and drops the connection after every `dropEvery` frames. */
const serveGateway = (gateway: GatewayModel, dropEvery = Number.POSITIVE_INFINITY) => {
  let heard = 0
  return serve((socket) => {
    const say = (frame: object | undefined) => frame && socket.send(JSON.stringify(frame))
    say(gateway.connect(`ws://gateway${socket.url}`))
    say(gateway.deliver())
    socket.onText = (text) => {
      heard += 1
      gateway.hear(text)
      if (heard % dropEvery === 0) return socket.destroy()
      say(gateway.accept())
      say(gateway.deliver())
    }
  })
}

const runAgainst = (gateway: GatewayModel, end: number, dropEvery?: number, timeout_ms = 60_000) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const { address } = yield* serveGateway(gateway, dropEvery)
    const limits = { reconnect_min_ms: 1, reconnect_max_ms: 5 }
    const client = yield* Client.make({ url: address, clientId: "c1", limits })
    const display = { line: (text: string) => lines.push(text), progress: () => {}, end: () => {} }
    return { lines, summary: yield* run(client, { start: 1, end, timeout_ms }, display) }
  }).pipe(Effect.scoped, Effect.provide(layerMemory, { local: true }))

describe("ClientCommand", () => {
  it.live("prints each result, and counts them", () =>
    Effect.gen(function* () {
      const { lines, summary } = yield* runAgainst(new GatewayModel(), 10)
      assert.strictEqual(lines.length, 10)
      assert.match(lines[6] ?? "", /^sq\(7\): \{"answers":\{"number":7\}\}, seq \d+, \d+(\.\d)? ms$/)
      assert.isTrue(isComplete(summary))
      assert.deepInclude(summary, { sent: 10, accepted: 10, received: 10, missing: 0 })
      assert.strictEqual(summary.latencies_ms.length, 10)
    }),
  )

  it.live("is complete although the connection is lost again and again", () =>
    Effect.gen(function* () {
      const gateway = new GatewayModel(64)
      const { summary } = yield* runAgainst(gateway, 300, 97)
      assert.isTrue(isComplete(summary))
      assert.deepInclude(summary, { sent: 300, received: 300 })
      assert.deepStrictEqual(gateway.faults, [])
      // Some events were published twice, so the runs above did meet what they test.
      assert.isAbove(gateway.log.length, 300)
      assert.isAbove(summary.repeatsDropped, 0)
    }),
  )

  it.live("shows what is not of this run, and does not count it", () =>
    Effect.gen(function* () {
      const gateway = new GatewayModel()
      gateway.publish("m1")
      const { lines, summary } = yield* runAgainst(gateway, 1)
      assert.match(lines[0] ?? "", /^news m1: .* \(not of this run\)$/)
      assert.strictEqual(summary.received, 1)
    }),
  )

  it.live("does not wait long for a gateway that was never there", () =>
    Effect.gen(function* () {
      const addr = "ws://127.0.0.1:2"
      const client = yield* Client.make({ url: addr, clientId: "c1" })
      const error = yield* Effect.flip(connected(client, addr, 50))
      assert.strictEqual(error.code, "NO_GATEWAY")
      assert.include(error.message, addr)
    }).pipe(Effect.provide(layerMemory, { local: true })),
  )

  it.live("counts as missing what does not come in time", () =>
    Effect.gen(function* () {
      const gateway = new GatewayModel(0)
      const { summary } = yield* runAgainst(gateway, 3, undefined, 3_000)
      assert.isFalse(isComplete(summary))
      assert.deepInclude(summary, { accepted: 3, received: 0, missing: 3 })
    }),
  )
})
