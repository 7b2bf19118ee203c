/** The page of examples/assistant in a real Chromium, on a real Kafka and Redis: whatever is killed in the middle, the answer ends whole. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"
import { inject } from "vitest"
import { freePorts } from "../../../scripts/services/Tools.ts"
import { browser } from "./testing/Browser.ts"
import { clusterOfItsOwn } from "./testing/Cluster.ts"

const { kafka, redis } = inject("services")
const question = "What happens if you die?"
const program = fileURLToPath(new URL("../../../examples/assistant/src/main.ts", import.meta.url))

/** How long a process takes to come back, and a consumer group to notice, on a machine that is busy with other tests. */
const patience_ms = 90_000

/** The example as its README starts it. Returns the address of its page. */
const start = Effect.gen(function* () {
  const [page, gateway, pipeline, worker] = yield* Effect.promise(() => freePorts(4))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [program], {
        stdio: ["ignore", "ignore", "inherit"],
        env: {
          ...process.env,
          ...clusterOfItsOwn("assistant"),
          PORT: `${page}`,
          GATEWAY_PORT: `${gateway}`,
          PIPELINE_PORT: `${pipeline}`,
          WORKER_PORT: `${worker}`,
        },
      }),
    ),
    (child) =>
      Effect.promise(async () => {
        const ended = new Promise((resolve) => child.once("exit", resolve))
        if (child.kill("SIGTERM")) await ended
      }),
  )
  child.once("error", (error) => {
    throw error
  })
  const isUp = () =>
    Promise.all(
      [gateway, pipeline, worker].map((port) => fetch(`http://127.0.0.1:${port}/readyz`).then(({ ok }) => ok)),
    ).then(
      (all) => all.every(Boolean),
      () => false,
    )
  yield* Effect.promise(async () => {
    while (!(await isUp())) await new Promise((resolve) => setTimeout(resolve, 100))
  }).pipe(Effect.timeout(patience_ms))
  return `http://127.0.0.1:${page}`
})

const open = Effect.gen(function* () {
  const url = yield* start
  const context = yield* Effect.flatMap(browser, (browser) => Effect.promise(() => browser.newContext()))
  const page = yield* Effect.promise(() => context.newPage())
  page.setDefaultTimeout(patience_ms)
  yield* Effect.promise(() => page.goto(url))
  return page
})

const text = (page: Page): Promise<string> => page.locator("article").first().innerText()

const whole = /^You asked: What happens if you die\? .* none comes twice\.$/

/** Asks, does something once a few words are there, and waits for the end. Returns the text. */
const askAnd = (page: Page, harm: () => Promise<unknown>) =>
  Effect.promise(async () => {
    await page.locator("#status").getByText("LIVE").waitFor()
    await page.getByLabel("Question").fill(question)
    await page.getByRole("button", { name: "Ask" }).click()
    await page.locator("article").first().getByText("word by word").waitFor()
    await harm()
    assert.notMatch(await text(page), whole, "it was over before")
    await page.locator("article").first().and(page.locator("[data-end]")).waitFor()
    return text(page)
  })

const press = (page: Page, name: string) => page.getByRole("button", { name }).click()

describe.skipIf(kafka === undefined || redis === undefined)("the assistant", () => {
  it.live(
    "shows each word once, whatever dies in the middle",
    () =>
      Effect.gen(function* () {
        const page = yield* open
        const answer = yield* askAnd(page, () => Promise.resolve())
        assert.match(answer, whole)
        for (const name of ["Cut the connection", "Kill the gateway", "Kill the worker", "Kill the pipeline"]) {
          assert.strictEqual(yield* askAnd(page, () => press(page, name)), answer, name)
        }
        assert.strictEqual(yield* askAnd(page, () => page.reload()), answer, "reload")
      }),
    400_000,
  )
})
