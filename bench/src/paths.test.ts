import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** Each path has this many files at most, and these are among them: what did not run would have none. */
const paths = {
  event: { most: 19, some: ["gateway/src/websocket/Socket.ts", "gateway/src/delivery/Intake.ts"] },
  handling: { most: 25, some: ["pipeline/src/EventConsumer.ts", "domain/src/services/Handlers.ts"] },
  result: { most: 20, some: ["domain/src/protocol/Router.ts", "domain/src/protocol/Session.ts"] },
  ack: { most: 27, some: ["domain/src/protocol/Session.ts", "domain/src/protocol/Router.ts"] },
  replay: { most: 16, some: ["domain/src/protocol/Session.ts", "gateway/src/websocket/Socket.ts"] },
}

describe("the paths of messages", () => {
  it("pass no more files than they did", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      fileURLToPath(new URL("paths.ts", import.meta.url)),
    ])
    const measured: Record<string, Record<string, ReadonlyArray<string>>> = JSON.parse(stdout)
    for (const [path, { most, some }] of Object.entries(paths)) {
      const files = Object.keys(measured[path] ?? {})
      for (const file of some) assert.include(files, `packages/${file}`, path)
      assert.isAtMost(files.length, most, `${path} passes ${files.join(", ")}`)
    }
  })
})
