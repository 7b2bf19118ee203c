import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { afterEach, assert, describe, it } from "@effect/vitest"

const directory = mkdtempSync(join(tmpdir(), "nimbus-pglite-"))
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** PostgreSQL's StartupMessage: what a connection says first. */
const startup = () => {
  const user = Buffer.from("user\0postgres\0\0")
  const message = Buffer.alloc(8 + user.length)
  message.writeInt32BE(message.length, 0)
  message.writeInt32BE(3 << 16, 4)
  user.copy(message, 8)
  return new Uint8Array(message)
}

describe("the thread of PGlite", () => {
  it("ends without a fault when it is told to close, and hears nothing after that", async () => {
    const worker = new Worker(new URL("./Worker.ts", import.meta.url), {
      workerData: { directory, parameters: [], inBackground: false },
    })
    await once(worker, "message")
    worker.postMessage("close", [])
    // Of a connection that was being made.
    worker.postMessage(startup(), [])
    assert.deepStrictEqual(await once(worker, "exit"), [0])
  })
})
