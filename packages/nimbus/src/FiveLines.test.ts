/**
 * The five lines of docs/security.md, as a new user writes them: a provider, an audience, a claim, the pages and a
 * certificate open a server on every address of a machine, to those alone whom the provider knows.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Provider } from "@nimbus/adapters/testing/tokens"
import { assert, describe, it } from "@effect/vitest"
import { Certificates } from "@nimbus/gateway/testing"
import { Effect } from "effect"
import { freePort, nimbus, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

const security = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8")

/** Of the page, so that what is tried is what stands there. */
const fiveLines = (values: Readonly<Record<string, string>>): Record<string, string> => {
  const [, block = ""] = /## Five lines\n\n```sh\n(.*?)```/s.exec(security) ?? []
  const names = [...block.matchAll(/^(NIMBUS_\w+)=(\S+)/gm)].map(([, name = "", value = ""]) => [name, value] as const)
  assert.lengthOf(names, 5)
  return Object.fromEntries(names.map(([name, value]) => [name, values[name] ?? value]))
}

describe("the five lines", () => {
  it.live("let in whom the provider knows, as itself, and nobody else", () =>
    Effect.gen(function* () {
      const { ca, sign } = yield* Certificates.authority
      const tls = yield* Certificates.directoryWith(yield* sign("DNS:localhost,IP:127.0.0.1"))
      const cwd = yield* temporaryDirectory
      const trusted = join(cwd, "ca.crt")
      writeFileSync(trusted, ca)
      const provider = yield* Provider.make(["device-1", "device-2"])
      const port = yield* freePort
      const lines = fiveLines({ NIMBUS_AUTH_ISSUER: provider.url, NIMBUS_TLS: tls })
      const env = { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}`, NODE_EXTRA_CA_CERTS: trusted }
      const server = yield* startServer({ cwd, env: { ...env, ...lines, NIMBUS_HOST: "0.0.0.0" } })

      const client = Effect.fnUntraced(function* (as: string, token?: string) {
        const address = ["--start=1", "--end=10", `--addr=wss://127.0.0.1:${port}`]
        const settings = { ...env, ...(token !== undefined && { NIMBUS_TOKEN: token }) }
        const running = yield* nimbus(["client", `--client_id=${as}`, ...address], { cwd, env: settings })
        const { code } = yield* running.ended
        return { code, text: running.stdout() + running.stderr() }
      })
      const token = yield* Effect.promise(() => provider.token("device-1"))
      const own = yield* client("device-1", token)
      assert.strictEqual(own.code, 0, own.text)
      assert.match((yield* client("device-1")).text, /nimbus: TOKEN_MISSING: /)
      const other = yield* client("device-1", yield* Effect.promise(() => provider.token("device-2")))
      assert.match(other.text, /the capability connect:device-1 is missing/)

      yield* server.kill("SIGTERM")
      assert.deepStrictEqual(yield* server.ended, { code: 0, signal: null })
      for (const part of token.split(".").slice(1)) assert.notInclude(server.stdout() + server.stderr(), part)
    }),
  )
})
