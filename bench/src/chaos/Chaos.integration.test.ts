import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { inject } from "vitest"

const { kafka, redis } = inject("services")

const program = fileURLToPath(new URL("main.ts", import.meta.url))

describe.skipIf(kafka === undefined || redis === undefined)("chaos", () => {
  let end = () => {}
  afterEach(() => end())

  it("is survived by every event: its answer is shown once and in order, whatever is killed, emptied or stopped", async () => {
    const options = ["--seconds", "15", "--seed", "20261121", "--clients", "50", "--partitions", "3", "--outage", "2"]
    const child = spawn(process.execPath, [program, ...options], { stdio: ["ignore", "pipe", "inherit"] })
    // Its own reaper sees to what it has started.
    end = () => void child.kill("SIGKILL")
    const output: Array<Buffer> = []
    child.stdout.on("data", (data: Buffer) => output.push(data))
    const [code] = await once(child, "close")
    const text = Buffer.concat(output).toString()
    assert.strictEqual(code, 0, text)
    assert.match(text, /: 0 lost, 0 repeated, 0 out of order, 0 foreign; 50 LIVE/)
    for (const fault of ["gateway killed", "pipeline killed", "Redis restarted", "Kafka stopped", "clients moved"]) {
      assert.include(text, `\n| ${fault}`)
    }
  }, 120_000)
})
