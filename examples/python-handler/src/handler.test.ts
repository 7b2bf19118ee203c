import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { HttpHandler } from "@nimbus/adapters/http"
import { Client, Memory } from "@nimbus/client"
import { Handlers } from "@nimbus/domain"
import { Nimbus } from "@nimbus/server"
import { Effect, Layer } from "effect"

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

const request = (url: string, key: string, data: { readonly count: number }) =>
  Effect.gen(function* () {
    const client = yield* Client.make({ url: yield* Nimbus.url, clientId: "ada" })
    yield* Effect.forkScoped(client.run(() => Effect.void))
    return yield* client.request("orders", data)
  }).pipe(
    Effect.provide(Memory.layerMemory),
    Effect.scoped,
    Effect.provide(
      Nimbus.layerMemory().pipe(Layer.provideMerge(Handlers.layer([HttpHandler.make("orders", { url, secret: key })]))),
    ),
  )

describe("the handler in Python", () => {
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
  })
})
