/**
 * Peers that send and never read, on every transport, by real sockets: what waits for them stays within its bounds, they
 * are read no more, end with their reason, and nobody else notices. Peers that read slowly stay.
 */
import { connect as connectTcp, createServer, type Socket } from "node:net"
import { Code } from "@connectrpc/connect"
import { assert, describe, it } from "@effect/vitest"
import { closeCodes } from "@nimbus/domain/protocol"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer, type Scope } from "effect"
import { HttpServer } from "effect/http"
import { WebSocket } from "ws"
import { Gateway } from "./index.ts"
import { GrpcServer } from "./grpc/GrpcServer.ts"
import { UpgradeServer } from "./http/UpgradeServer.ts"
import { chatLimits, gatewayLimits } from "./Limits.ts"
import { connect as connectGrpc, frame, type GrpcClient } from "./testing/GrpcClient.ts"
import * as MemoryParts from "./testing/MemoryParts.ts"

const deadline_ms = 700
/** What a peer sends if nobody stops it: far beyond what the kernels on the way take. */
const most_bytes = 32 * 1024 * 1024
/** Of one connection in this process: the bound, and what answers one chunk that was read with what reached it. */
const bound_bytes = 4 * 1024 * 1024

type Limits = Parameters<typeof Gateway.layerWith>[0]["limits"]

const gateway = (limits: Limits = {}) =>
  Gateway.layerWith({
    host: "127.0.0.1",
    port: 0,
    limits: {
      tick_ms: 20,
      write_deadline_ms: deadline_ms,
      close_ms: 5_000,
      // There is no pipeline here: nothing answers events, and who sends them is held soon.
      unanswered_hold_ms: 1,
      // Frames per second have bounds of their own.
      events_per_second: 10_000_000,
      chat: { ...chatLimits, messages_per_second: 10_000_000 },
      // What a client is told of events that the log has taken was in the intake before.
      intake_bytes: 64 * 1024,
      ...limits,
    },
  }).pipe(Layer.provideMerge(MemoryParts.layer))

type Environment = Layer.Success<ReturnType<typeof gateway>> | Scope.Scope

const scenario = <E>(name: string, test: Effect.Effect<void, E, Environment>, limits: Limits = {}) =>
  it.live(name, () => test.pipe(Effect.scoped, Effect.provide(gateway(limits))), 60_000)

const portOf = Effect.map(HttpServer.HttpServer, ({ address }) =>
  "port" in address ? address.port : assert.fail("no port"),
)

const until = (what: string, isSo: () => boolean) => eventually(what, Effect.sync(isSo))

/** A counter as the metrics have it, which are of all tests of this process. */
const counter = (line: string) =>
  Effect.gen(function* () {
    const port = yield* portOf
    const text = yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
    const found = text.split("\n").find((each) => each.startsWith(`${line} `))
    return Number(found?.slice(line.length) ?? 0)
  })

/** How many connections ended for this. */
const tooSlow = counter(`nimbus_gateway_refused_total{code="TOO_SLOW"}`)
/** How often a connection was held. */
const held = counter("nimbus_gateway_held_total")
const accepted = counter("nimbus_gateway_events_accepted_total")

const counts = (total: number) =>
  eventually(
    "TOO_SLOW is counted",
    Effect.map(tooSlow, (now) => now === total),
  )

/** The other ends of connections to the HTTP port, and the most that ever waited in one of them. */
const watchEnds = Effect.gen(function* () {
  const { server } = yield* UpgradeServer
  const ends = new Set<Socket>()
  let most = 0
  const look = () => (most = Math.max(most, ...Array.from(ends, ({ writableLength }) => writableLength)))
  const take = (socket: Socket) => {
    ends.add(socket)
    socket.on("data", () => setImmediate(look))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => server.on("connection", take)),
    () => Effect.sync(() => server.off("connection", take)),
  )
  return { ends, most: look }
})

/** What a peer lets wait at its own end before it says more. */
const waits_bytes = 256 * 1024

/**
 * Says the same again and again as fast as it is taken, until `most_bytes` or the end. Returns what it has said so far.
 */
const flood = (say: () => number, waiting: () => number, isOver: () => boolean) => {
  let said_bytes = 0
  const goOn = (): void => {
    while (!isOver() && waiting() < waits_bytes && said_bytes < most_bytes) said_bytes += say()
    if (!isOver() && said_bytes < most_bytes) setImmediate(goOn)
  }
  goOn()
  return () => said_bytes
}

const openWs = (path: string) =>
  Effect.gen(function* () {
    const port = yield* portOf
    const ws = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(`ws://127.0.0.1:${port}${path}`)),
      (ws) => Effect.sync(() => ws.terminate()),
    )
    ws.on("error", () => {})
    const closed = new Promise<number>((resolve) => ws.once("close", (code) => resolve(code)))
    yield* Effect.callback<void>((resume) => void ws.once("open", () => resume(Effect.void)))
    return { ws, closed: Effect.promise(() => closed) }
  })

const floodWs = (ws: WebSocket, say: (ws: WebSocket) => number) =>
  flood(
    () => say(ws),
    () => ws.bufferedAmount,
    () => ws.readyState !== ws.OPEN,
  )

const payload = Buffer.alloc(125)
const ping = (ws: WebSocket): number => {
  ws.ping(payload)
  return payload.length + 6
}
const text = (frame: string) => (ws: WebSocket) => {
  ws.send(frame)
  return frame.length + 6
}

const openTcp = Effect.gen(function* () {
  const port = yield* portOf
  const peer = yield* Effect.acquireRelease(
    Effect.sync(() => connectTcp(port, "127.0.0.1")),
    (peer) => Effect.sync(() => peer.destroy()),
  )
  peer.on("error", () => {})
  yield* Effect.callback<void>((resume) => void peer.once("connect", () => resume(Effect.void)))
  return peer
})

/** The gateway's end of a connection. */
const endOf = Effect.fnUntraced(function* ({ localPort }: Socket, ends: ReadonlySet<Socket>) {
  const find = () => [...ends].find(({ remotePort }) => remotePort === localPort)
  yield* until("it is connected", () => find() !== undefined)
  return find() ?? assert.fail("no end")
})

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`

/** More than the kernels on the way take. */
const large_bytes = 16 * 1024 * 1024

/** Events that are none. */
const nothings = Buffer.concat(Array.from({ length: 1_000 }, () => frame(new Uint8Array())))

const floodCall = ({ stream }: GrpcClient) =>
  flood(
    () => {
      stream.write(nothings)
      return nothings.length
    },
    () => stream.writableLength,
    () => stream.destroyed || stream.writableEnded,
  )

const callsAreAnswered = Effect.gen(function* () {
  const { port } = yield* GrpcServer
  const honest = yield* connectGrpc({ port, metadata: { client_id: "honest", notices: "true" } })
  yield* honest.first("welcome", ({ welcome }) => welcome !== undefined)
}).pipe(Effect.scoped)

/** A network that at some time takes nothing more of what comes back from a port. */
const oneWay = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; stopReading(): void; end(): void }>((resume) => {
      const ends: Array<Socket> = []
      const server = createServer((near) => {
        const far = connectTcp(port, "127.0.0.1")
        near.pipe(far)
        far.pipe(near)
        for (const end of [near, far]) end.on("error", () => {})
        ends.push(near, far)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(
          Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            stopReading: () => ends[1]?.unpipe().pause(),
            end: () => {
              server.close()
              for (const end of ends) end.destroy()
            },
          }),
        )
      })
    }),
    ({ end }) => Effect.sync(end),
  )

const connection_answers_bytes = 512 * 1024

/** Another client of the gateway is answered at once. */
const othersAreAnswered = Effect.gen(function* () {
  const { ws } = yield* openWs("/v1/stream?clientId=honest")
  const frames: Array<string> = []
  ws.on("message", (data) => frames.push(String(data)))
  ws.send(JSON.stringify({ type: "ping" }))
  yield* until("the honest client has its pong", () => frames.some((frame) => frame.includes('"pong"')))
}).pipe(Effect.scoped)

/** In a frame of its own each is told that it is accepted. */
const eventsPath = "/approach3/events?clientId=c1"
const event = text(`{"type":"event","data":1}`)

/** As long as the test takes. */
const held_for_ms = 600_000

describe("a peer that sends and never reads", () => {
  for (const [name, path, say] of [
    ["pings", "/v1/stream?clientId=c1", ping],
    ["what is no JSON", "/v1/stream?clientId=c1", text("x")],
    ["events, as a client of NimbusWS", eventsPath, event],
    ["pings, in the chat", "/socket.io/?EIO=4&transport=websocket&roomId=r", ping],
    ["calls for namespaces that are none", "/socket.io/?EIO=4&transport=websocket&roomId=r", text("40/none,")],
  ] as const) {
    scenario(
      `on a WebSocket: ${name}`,
      Effect.gen(function* () {
        const before = yield* tooSlow
        const { most } = yield* watchEnds
        const { closed, ws } = yield* openWs(path)
        ws.pause()
        const said = floodWs(ws, say)
        yield* othersAreAnswered
        yield* counts(before + 1)
        assert.isBelow(said(), most_bytes)
        assert.isBelow(most(), bound_bytes)
        assert.isAbove(most(), 0)
        // Whoever reads after all is told why.
        ws.resume()
        assert.strictEqual(yield* closed, closeCodes.tooSlow.code)
      }),
    )
  }

  scenario(
    "on a WebSocket: events that nothing answers; what it sends waits at its own end for as long as it is held",
    Effect.gen(function* () {
      const { client_unanswered_events, read_slice_frames } = gatewayLimits
      const [slowBefore, heldBefore, acceptedBefore] = [yield* tooSlow, yield* held, yield* accepted]
      const { most } = yield* watchEnds
      const { ws } = yield* openWs(eventsPath)
      let told = 0
      ws.on("message", () => told++)
      ws.pause()
      const said = floodWs(ws, event)
      yield* eventually(
        "it is held, and the log has what was read",
        Effect.map(
          Effect.all([held, accepted]),
          ([holds, events]) => holds === heldBefore + 1 && events - acceptedBefore >= client_unanswered_events,
        ),
      )
      yield* until("its own end takes no more", () => ws.bufferedAmount >= waits_bytes)
      yield* othersAreAnswered
      assert.isBelow(said(), most_bytes)
      assert.isBelow(most(), bound_bytes)
      // It may read after all. It is told of each event that was read, and hardly any was beyond the limit.
      ws.resume()
      yield* eventually(
        "it is told of all that the log has",
        Effect.map(accepted, (now) => told >= client_unanswered_events && told === now - acceptedBefore),
      )
      yield* othersAreAnswered
      assert.isAtMost(told, client_unanswered_events + 2 * read_slice_frames)
      assert.strictEqual(yield* held, heldBefore + 1)
      assert.strictEqual(yield* tooSlow, slowBefore)
      assert.strictEqual(ws.readyState, ws.OPEN)
    }),
    { unanswered_hold_ms: held_for_ms },
  )

  scenario(
    "in the chat, by polling: calls for namespaces that are none, in one POST after the other",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const port = yield* portOf
      const url = `http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling&roomId=r`
      const [sid] = /(?<="sid":")[^"]+/.exec(yield* Effect.promise(async () => (await fetch(url)).text())) ?? []
      const post = (packets: number) => {
        const ended = new AbortController()
        const answer = fetch(`${url}&sid=${sid}`, {
          method: "POST",
          body: Array(packets).fill("40/none,").join("\u001e"),
          signal: ended.signal,
        })
        return { ended, answer: answer.then(({ status }) => status) }
      }
      // Beyond `socket_buffer_bytes` the next one waits to be looked at, until there is a poll.
      assert.strictEqual(yield* Effect.promise(() => post(5_000).answer), 200)
      const waiting = post(1)
      const polled = yield* Effect.promise(async () => (await fetch(`${url}&sid=${sid}`)).text())
      assert.isAbove(polled.length, 5_000)
      assert.strictEqual(yield* Effect.promise(() => waiting.answer), 200)
      // One that is beyond `socket_cut_bytes` on its own ends it.
      yield* Effect.promise(() => post(100_000).answer.catch(() => {}))
      yield* counts(before + 1)
      assert.strictEqual(yield* Effect.promise(async () => (await fetch(`${url}&sid=${sid}`)).status), 400)
    }),
  )

  scenario(
    "by HTTP: it has one answer waiting, and ends when it takes nothing of it",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const { ends, most } = yield* watchEnds
      const { handleRequests } = yield* UpgradeServer
      let asked = 0
      yield* handleRequests("/large", (_, response) => {
        asked++
        response.end(Buffer.alloc(large_bytes))
      })
      const peer = yield* openTcp
      const end = yield* endOf(peer, ends)
      peer.write(get("/large").repeat(20))
      yield* othersAreAnswered
      yield* counts(before + 1)
      assert.strictEqual(asked, 1)
      assert.isAtMost(most(), large_bytes + 1024)
      yield* until("its end is gone", () => end.destroyed)
    }),
  )

  scenario(
    "by HTTP: it is read no more while as many requests wait as may, and then all are answered",
    Effect.gen(function* () {
      const { ends } = yield* watchEnds
      const { handleRequests } = yield* UpgradeServer
      const { read_slice_bytes } = gatewayLimits
      let answer = (): void => {}
      yield* handleRequests("/waits", (_, response) => void (answer = () => response.end()))
      let answered = 0
      yield* handleRequests("/next", (_, response) => {
        answered++
        response.end()
      })
      const peer = yield* openTcp
      const end = yield* endOf(peer, ends)
      let parsed = 0
      end.on("data", ({ length }: Buffer) => (parsed += length))
      const count = 10_000
      peer.resume()
      peer.write(get("/waits") + get("/next").repeat(count))
      yield* othersAreAnswered
      assert.strictEqual(answered, 0)
      assert.isAbove(parsed, 0)
      assert.isAtMost(parsed, gatewayLimits.pipelined_requests * get("/next").length + 2 * read_slice_bytes)
      answer()
      yield* until("all are answered", () => answered === count)
    }),
  )
})

describe("a peer that sends on gRPC and never reads", () => {
  scenario(
    "what it sends waits at its own end, as long as the call stands",
    Effect.gen(function* () {
      const { port } = yield* GrpcServer
      const client = yield* connectGrpc({ port, metadata: { client_id: "c1", ack: "client" } })
      client.stream.pause()
      const said = floodCall(client)
      let [last_bytes, still] = [-1, 0]
      // Each call of another shows that the gateway goes on.
      while (still < 20) {
        yield* callsAreAnswered
        still = said() === last_bytes ? still + 1 : 0
        last_bytes = said()
      }
      assert.isBelow(said(), most_bytes)
      assert.isAtLeast(client.stream.writableLength, waits_bytes)
      assert.isFalse(client.stream.destroyed || client.stream.readableEnded)
    }),
    { write_deadline_ms: 600_000, gateway_frames_per_second: 1_000_000_000 },
  )

  scenario(
    "what waits for its call: it is read no more, and the call ends",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const { port } = yield* GrpcServer
      const client = yield* connectGrpc({ port, metadata: { client_id: "c1", ack: "client" } })
      client.stream.pause()
      const said = floodCall(client)
      yield* callsAreAnswered
      yield* counts(before + 1)
      assert.isBelow(said(), most_bytes)
      client.stream.resume()
      const { code, message } = yield* client.ended
      assert.strictEqual(code, Code.ResourceExhausted)
      assert.match(message, /^TOO_SLOW/)
      // What was answered until then came to the bound, and not more.
      assert.isBelow(client.responses.length, (2 * gatewayLimits.answers_bytes) / gatewayLimits.answer_cost_bytes)
    }),
  )

  scenario(
    "its connection: all of its calls end",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const { port } = yield* GrpcServer
      const network = yield* oneWay(port)
      const client = yield* connectGrpc({ port: network.port, metadata: { client_id: "c1", notices: "true" } })
      yield* client.first("welcome", ({ welcome }) => welcome !== undefined)
      network.stopReading()
      const said = floodCall(client)
      yield* callsAreAnswered
      yield* counts(before + 1)
      assert.isBelow(said(), most_bytes)
    }),
  )

  scenario(
    "many calls of one connection: they have the bound of a connection together",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const { port } = yield* GrpcServer
      const first = yield* connectGrpc({ port, metadata: { client_id: "c0", ack: "client" } })
      const others = yield* Effect.forEach(
        Array.from({ length: 19 }, (_, i) => `c${i + 1}`),
        (client_id) => connectGrpc({ port, session: first.session, metadata: { client_id, ack: "client" } }),
      )
      const calls = [first, ...others]
      for (const { stream } of calls) stream.pause()
      for (const call of calls) for (let i = 0; i < 20; i++) call.sendBytes(nothings)
      yield* counts(before + calls.length)
      for (const { stream } of calls) stream.resume()
      yield* Effect.forEach(calls, ({ ended }) => ended, { concurrency: "unbounded" })
      const answers = calls.reduce((sum, { responses }) => sum + responses.length, 0)
      // The window of each takes some 750 of them. By the bound of a call alone each would have 3,000 more.
      assert.isAbove(answers, 0)
      assert.isBelow(answers, calls.length * 1_000)
    }),
    // None is cut before the last of them has ended.
    { connection_answers_bytes, answers_bytes: 1024 * 1024, close_ms: 20_000 },
  )
})

describe("a peer that reads", () => {
  scenario(
    "slowly on gRPC is refused each of what is wrong, and its call goes on",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const { port } = yield* GrpcServer
      const client = yield* connectGrpc({ port, metadata: { client_id: "c1", ack: "client" } })
      client.stream.pause()
      const wrong = 20_000
      client.sendBytes(Buffer.concat(Array.from({ length: wrong }, () => frame(new Uint8Array()))))
      for (let slowly = 0; slowly < 6; slowly++) {
        yield* Effect.sleep(deadline_ms / 2)
        client.stream.resume()
        yield* Effect.yieldNow
        client.stream.pause()
      }
      client.stream.resume()
      yield* until("all are refused", () => client.responses.length === wrong)
      assert.strictEqual(yield* tooSlow, before)
    }),
  )

  scenario(
    "slowly gets every pong, and stays",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const { ends } = yield* watchEnds
      const peer = yield* openTcp
      const end = yield* endOf(peer, ends)
      peer.write(
        "GET /v1/stream?clientId=c1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
      )
      const pings = 120_000
      const ping = Buffer.concat([Buffer.from([0x89, 0x80 | payload.length, 0, 0, 0, 0]), payload])
      const pongs_bytes = pings * (2 + payload.length)
      yield* until("it is open", () => peer.readableLength > 0)
      peer.write(Buffer.concat(Array.from({ length: pings }, () => ping)))
      yield* until("it is read no more", () => end.isPaused())
      let read_bytes = peer.read(peer.readableLength)?.length ?? 0
      peer.on("data", (chunk: Buffer) => void (read_bytes += chunk.length)).pause()
      // As much as the kernel notices, after nothing for half of the deadline each time.
      const step_bytes = 2 * 1024 * 1024
      for (let step = 1; (step - 1) * step_bytes < pongs_bytes; step++) {
        const upTo = Math.min(step * step_bytes, pongs_bytes)
        yield* Effect.sleep(deadline_ms / 2)
        peer.resume()
        yield* until("it has read some", () => read_bytes >= upTo)
        peer.pause()
      }
      assert.strictEqual(yield* tooSlow, before)
      assert.isFalse(peer.destroyed)
    }),
  )

  scenario(
    "and sends a burst that is wrong is refused each of it, and stays",
    Effect.gen(function* () {
      const { ws } = yield* openWs("/v1/stream?clientId=c1")
      let refused = 0
      ws.on("message", (data) => {
        if (String(data).includes("NOT_JSON")) refused++
      })
      for (let i = 0; i < 20_000; i++) ws.send("x")
      yield* until("all are refused", () => refused === 20_000)
      assert.strictEqual(ws.readyState, ws.OPEN)
    }),
  )

  scenario(
    "and asks by HTTP before it has the answers gets them one after the other, however long one takes to be made",
    Effect.gen(function* () {
      const before = yield* tooSlow
      const { handleRequests } = yield* UpgradeServer
      let underWay = 0
      let most = 0
      yield* handleRequests("/slow", (_, response) => {
        most = Math.max(most, ++underWay)
        setTimeout(() => {
          underWay--
          response.end("done")
        }, deadline_ms * 1.5)
      })
      const peer = yield* openTcp
      let answers = ""
      peer.on("data", (chunk: Buffer) => (answers += chunk.toString()))
      peer.write(get("/slow").repeat(2) + get("/healthz"))
      yield* until("all are answered", () => answers.endsWith("ok\n"))
      assert.strictEqual(answers.split("done").length, 3)
      assert.strictEqual(most, 1)
      assert.strictEqual(yield* tooSlow, before)
    }),
  )
})
