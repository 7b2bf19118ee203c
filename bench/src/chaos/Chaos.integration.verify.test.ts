import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { inject } from "vitest"
import { kinds, kindsOfTasks } from "./Faults.ts"

const { kafka, redis } = inject("services")

const program = fileURLToPath(new URL("main.ts", import.meta.url))

describe.skipIf(kafka === undefined || redis === undefined)("chaos", () => {
  let end = () => {}
  afterEach(() => end())

  /** What a run prints; fails unless it ends with 0. */
  const chaos = async (...options: ReadonlyArray<string>): Promise<string> => {
    const child = spawn(process.execPath, [program, ...options], { stdio: ["ignore", "pipe", "inherit"] })
    // Its own reaper sees to what it has started.
    end = () => void child.kill("SIGKILL")
    const output: Array<Buffer> = []
    child.stdout.on("data", (data: Buffer) => output.push(data))
    const [code] = await once(child, "close")
    const text = Buffer.concat(output).toString()
    assert.strictEqual(code, 0, text)
    return text
  }

  it("is survived by every event: its answer is shown once and in order, whatever is killed, emptied or cut off", async () => {
    const faults =
      "gateway-killed,pipeline-killed,redis-emptied,redis-older,kafka-stopped,clients-moved,pipeline-kafka-cut"
    const size = ["--clients", "50", "--partitions", "3", "--outage", "2"]
    const text = await chaos("--seconds", "15", "--seed", "20261121", ...size, "--faults", faults)
    assert.match(text, /: 0 lost, 0 repeated, 0 out of order, 0 foreign; 50 LIVE/)
    for (const fault of ["gateway killed", "pipeline killed", "Redis restarted", "Kafka stopped", "clients moved"]) {
      assert.include(text, `\n| ${fault}`)
    }
  }, 400_000)

  it("is survived by every task: its parts are shown once and in order, and one end behind them", async () => {
    const faults = "worker-killed,worker-left,worker-paused,pipeline-killed,gateway-killed,kafka-stopped,redis-emptied"
    const size = ["--clients", "30", "--partitions", "3", "--outage", "2"]
    const text = await chaos("--tasks", "--seconds", "15", "--seed", "20261130", ...size, "--faults", faults)
    assert.match(
      text,
      /: 0 lost, 0 repeated, 0 out of order, 0 foreign; 30 LIVE, 30 answered; \d+ tasks, 0 without an end/,
    )
  }, 400_000)

  // It mounts a disk of its own.
  it.skipIf(process.getuid?.() !== 0)(
    "is survived on a full disk by the embedded server",
    async () => {
      const text = await chaos("--disk-full", "--clients", "20")
      assert.match(text, /: 0 lost, 0 repeated, 0 out of order, 0 foreign; 20 LIVE/)
      assert.include(text, "\n| disk full")
    },
    400_000,
  )

  it("has each of its faults named in docs/reliability.md", () => {
    const page = readFileSync(new URL("../../../docs/reliability.md", import.meta.url), "utf8")
    assert.deepStrictEqual(
      [...kinds.keys(), ...kindsOfTasks.keys()].filter((name) => !page.includes(`\`${name}\``)),
      [],
    )
  })
})
