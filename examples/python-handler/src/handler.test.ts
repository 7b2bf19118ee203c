import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { HttpHandler } from "@nimbus/adapters/http"
import { Client, type Delivery, isLost, type Lost, Memory } from "@nimbus/client"
import { Handlers } from "@nimbus/domain"
import { EventId } from "@nimbus/domain/protocol"
import { Nimbus } from "@nimbus/server"
import { Effect, Layer, type Schema, Stream } from "effect"
import { Webhook } from "standardwebhooks"

const script = fileURLToPath(new URL("handler.py", import.meta.url))
const secretOf = (byte: number): string => `whsec_${Buffer.alloc(32, byte).toString("base64")}`
const secret = secretOf(1)

const hasPython = spawnSync("python3", ["--version"]).status === 0

const addressOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    child.stdout?.setEncoding("utf8").on("data", (some: string) => {
      text += some
      const [, url] = /^listening on (\S+)\n/.exec(text) ?? []
      if (url !== undefined) resolve(url)
    })
    child.once("close", () => reject(new Error(`python3 has ended: ${text}`)))
  })

/** The service, on a free port. */
const service = Effect.gen(function* () {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn("python3", [script, "0"], {
        env: { ...process.env, NIMBUS_HANDLERS_HTTP_SECRET: secret },
        stdio: ["ignore", "pipe", "inherit"],
      }),
    ),
    (child) =>
      Effect.promise(async () => {
        const ended = new Promise((resolve) => child.once("close", resolve))
        if (child.kill("SIGKILL")) await ended
      }),
  )
  return yield* Effect.promise(() => addressOf(child))
})

/** Nimbus with the handler and the task. */
const nimbus = (url: string, key = secret) =>
  Nimbus.layerMemory().pipe(
    Layer.provideMerge(
      Handlers.layer([
        HttpHandler.make("orders", { url, secret: key }),
        HttpHandler.task("tell", { url: `${url}tell`, secret: key, resumes: true }),
      ]),
    ),
  )

const request = (url: string, key: string, data: { readonly count: number }) =>
  Effect.gen(function* () {
    const client = yield* Client.make({ url: yield* Nimbus.url, clientId: "ada" })
    yield* Effect.forkScoped(client.run(() => Effect.void))
    return yield* client.request("orders", data)
  }).pipe(Effect.provide(Memory.layerMemory), Effect.scoped, Effect.provide(nimbus(url, key)))

const isItem = (delivery: Delivery): delivery is Exclude<Delivery, Lost> => !isLost(delivery)

/** The items of the task, up to its end. */
const told = (url: string, data: Schema.Json) =>
  Effect.gen(function* () {
    const client = yield* Client.make({ url: yield* Nimbus.url, clientId: "ada" })
    yield* client.send("tell", data, { id: "t1" })
    const items = Stream.filter(client.results, isItem)
    return [...(yield* Stream.runCollect(Stream.takeUntil(items, ({ end }) => end !== undefined)))]
  }).pipe(Effect.provide(Memory.layerMemory), Effect.scoped, Effect.provide(nimbus(url)))

/** What the service answers without Nimbus, signed. */
const answerTo = (url: string, event: object) => {
  const body = JSON.stringify({ id: "t1", client: "ada", ...event })
  const at = new Date()
  const headers = {
    "webhook-id": "ada/t1",
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign("ada/t1", at, body),
  }
  return fetch(url, { method: "POST", body, headers })
}

describe("the handler and the task in Python", () => {
  it.skipIf(hasPython || process.env["CI"] !== "true")("has a Python to run with", () => {
    assert.isTrue(hasPython, "python3 is not installed")
  })

  describe.runIf(hasPython)("with python3", () => {
    it.live("answers an event", () =>
      Effect.gen(function* () {
        const { data, id } = yield* request(yield* service, secret, { count: 2 })
        assert.deepStrictEqual(data, { receipt: `2 for ada, order ${id}` })
      }),
    )

    it.live("knows whose token the client has shown, where there are locks", () =>
      Effect.gen(function* () {
        const url = yield* service
        const caller = { issuer: "https://id.example", subject: "auth0|ada", claims: {} }
        const answer = yield* Effect.promise(() => answerTo(url, { data: { count: 2 }, caller }))
        assert.deepStrictEqual(yield* Effect.promise(() => answer.json()), { receipt: "2 for auth0|ada, order t1" })
      }),
    )

    it.live("tells the client why it refuses one", () =>
      Effect.gen(function* () {
        const failed = yield* Effect.flip(request(yield* service, secret, { count: 101 }))
        assert(failed._tag === "EventFailed")
        assert.deepStrictEqual(failed.failure, { code: "HANDLER_FAILED", message: "there are not 101 of them" })
      }),
    )

    it.live("refuses what another secret has signed", () =>
      Effect.gen(function* () {
        const failed = yield* Effect.flip(request(yield* service, secretOf(2), { count: 2 }))
        assert(failed._tag === "EventFailed")
        assert.deepStrictEqual(failed.failure, { code: "HANDLER_FAILED", message: "the signature is wrong" })
      }),
    )

    it.live("refuses a call without a signature, and one of an hour ago", () =>
      Effect.gen(function* () {
        const url = yield* service
        const statusOf = (init: RequestInit) =>
          Effect.promise(() => fetch(url, { method: "POST", ...init }).then(({ status }) => status))
        assert.strictEqual(yield* statusOf({ body: "{}" }), 401)
        const long = String(Math.floor(Date.now() / 1000) - 3_600)
        assert.strictEqual(yield* statusOf({ body: "{}", headers: { "webhook-timestamp": long } }), 401)
      }),
    )

    it.live("answers a task in parts, behind which is one end", () =>
      Effect.gen(function* () {
        const items = yield* told(yield* service, { hero: "Ada" })
        const words = items.slice(0, -1)
        assert.strictEqual(words.map(({ data }) => data).join(""), "once upon a time Ada went out to sea ")
        assert.deepStrictEqual(
          words.map(({ of, part }) => [of, part]),
          words.map((_, part) => [EventId.make("t1"), part]),
        )
        assert.deepInclude(items.at(-1), { end: "done" })
      }),
    )

    it.live("tells the client why it refuses a task", () =>
      Effect.gen(function* () {
        const [end] = yield* told(yield* service, {})
        const error = { code: "HANDLER_FAILED", message: "hero must be a name" }
        assert.deepInclude(end, { of: EventId.make("t1"), end: "failed", error })
      }),
    )

    it.live("leaves out the parts of a task that are published", () =>
      Effect.gen(function* () {
        const url = yield* service
        const text = yield* Effect.promise(() =>
          answerTo(`${url}tell`, { attempt: 2, published: 6, data: { hero: "Ada" } }).then((answer) => answer.text()),
        )
        assert.strictEqual(text, `"out "\n"to "\n"sea "\n`)
      }),
    )
  })
})
