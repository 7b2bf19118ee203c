import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** These are on the paths: of what did not run there would be none. */
const parts = {
  event: ["gateway/src/websocket/Socket.ts", "gateway/src/delivery/Intake.ts"],
  handling: ["pipeline/src/EventConsumer.ts", "domain/src/services/Handlers.ts"],
  result: ["domain/src/protocol/Router.ts", "domain/src/protocol/Session.ts", "gateway/src/websocket/Socket.ts"],
  ack: ["gateway/src/websocket/Socket.ts", "domain/src/protocol/Session.ts", "domain/src/protocol/Router.ts"],
  replay: ["domain/src/protocol/Session.ts", "gateway/src/websocket/Socket.ts"],
}

describe("the paths of messages", () => {
  it("pass no more files than docs/architecture.md says", async () => {
    const docs = readFileSync(fileOf("../../docs/architecture.md"), "utf8")
    const { stdout } = await promisify(execFile)(process.execPath, [fileOf("paths.ts")])
    const measured: Record<string, Record<string, ReadonlyArray<string>>> = JSON.parse(stdout)
    for (const [path, some] of Object.entries(parts)) {
      const most = Number(new RegExp(`^\\| ${path} \\|.*\\| (\\d+) \\|$`, "m").exec(docs)?.[1])
      const files = Object.keys(measured[path] ?? {})
      for (const file of some) assert.include(files, `packages/${file}`, path)
      assert.isAtMost(files.length, most, `${path} passes ${files.join(", ")}`)
    }
  })
})
