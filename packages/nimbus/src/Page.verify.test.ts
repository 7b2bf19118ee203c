/** The page while its gateway is killed. */
import { describe, it } from "@effect/vitest"
import { Effect, Scope } from "effect"
import type { Page } from "playwright-core"
import { vi } from "vitest"
import { browser } from "./testing/Browser.ts"
import { panel, startSamples } from "./testing/PageStage.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"
import { desktop, visit } from "./testing/Visitor.ts"

// On a machine that is busy with other tests a click may take seconds.
vi.setConfig({ testTimeout: 120_000 })

/** What Chromium says of a gateway that is not there, goes just now, or listens and does not serve yet. */
const gatewayAway = /ERR_|Connection closed before receiving a handshake response|\b503\b/

describe("the page", () => {
  it.live("says that the connection is lost, and goes on once the gateway is back", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const place = { cwd: yield* temporaryDirectory, env: { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}` } }
      const server = yield* startServer(place)
      const scope = yield* Effect.scope
      const kill = Effect.andThen(server.kill("SIGKILL"), server.ended)
      const startAgain = Effect.provideService(startServer(place), Scope.Scope, scope)
      const watching = async (page: Page) => {
        const link = page.getByRole("banner").getByRole("status")
        await link.getByText("live", { exact: true }).waitFor()
        const clientId = await startSamples(page, 1)
        await Effect.runPromise(kill)
        await link.getByText("connection lost, trying again").waitFor()
        await Effect.runPromise(startAgain)
        await link.getByText("live", { exact: true }).waitFor()
        await panel(page, "Clients").getByRole("row", { name: clientId }).getByText("LIVE").waitFor()
        await page.getByText(/, 0 missing, 0 repeated$/).waitFor()
      }
      yield* visit(yield* browser, `http://127.0.0.1:${port}`, watching, { ...desktop, tolerate: gatewayAway })
    }),
  )
})
