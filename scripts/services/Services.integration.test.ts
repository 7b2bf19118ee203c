import { type ChildProcess, spawn } from "node:child_process"
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { inject } from "vitest"
import { type Services, startServices } from "./Services.ts"
import { ask, until } from "./Tools.ts"

const { postgres, redis } = inject("services")

describe.skipIf(redis === undefined)("Services", () => {
  let services: Services | undefined
  afterEach(() => services?.stop())

  const tell = async (...words: ReadonlyArray<string>): Promise<string> => {
    const port = Number(services?.get("redis").address.split(":")[1])
    return (await ask(port, Buffer.from(`${words.join(" ")}\r\n`)))?.toString().trim() ?? "no answer"
  }

  it("restarts one service by itself, and Redis begins with what was saved or with nothing", async () => {
    services = await startServices(["redis"])
    const server = services.get("redis")
    assert.strictEqual(await tell("SET", "a", "1"), "+OK")
    await server.restart()
    assert.strictEqual(await tell("GET", "a"), "$-1")

    assert.strictEqual(await tell("SET", "a", "2"), "+OK")
    assert.strictEqual(await tell("SAVE"), "+OK")
    assert.strictEqual(await tell("SET", "a", "3"), "+OK")
    await server.kill()
    assert.isFalse(server.isRunning)
    assert.strictEqual(await tell("PING"), "no answer")
    await server.start()
    assert.strictEqual(await tell("GET", "a"), "$1\r\n2")

    await server.clear()
    await server.start()
    assert.strictEqual(await tell("GET", "a"), "$-1")
  })

  it("answers no more once stopped", async () => {
    services = await startServices(["redis"])
    await services.stop()
    assert.strictEqual(await tell("PING"), "no answer")
  })

  it("says what was not asked for", async () => {
    services = await startServices([])
    assert.throws(() => services?.get("redis"), /redis was not asked for/)
  })
})

describe.skipIf(redis === undefined || postgres === undefined)("main.ts", () => {
  let directory = ""
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "nimbus-"))
    // PostgreSQL's user has to get through.
    chmodSync(directory, 0o711)
  })
  let child: ChildProcess | undefined
  afterEach(() => {
    child?.kill("SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  })

  const start = (...args: ReadonlyArray<string>) =>
    spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, TMPDIR: directory },
    })

  it("leaves nothing behind when it is killed", async () => {
    const main = start("--with", "redis,postgres")
    child = main
    const lines = createInterface({ input: main.stdout })[Symbol.asyncIterator]()
    const next = async () => (await lines.next()).value ?? ""
    const ports: Array<number> = []
    for (let line = await next(); line !== ""; line = await next()) ports.push(Number(/:(\d+)/.exec(line)?.[1]))
    assert.strictEqual(ports.length, 2)
    main.stdin.write("kill redis\nstart redis\nstart nobody\n")
    assert.strictEqual(await next(), "ok")
    assert.strictEqual(await next(), "ok")
    assert.match(await next(), /^failed: no such step/)
    main.kill("SIGKILL")
    // PostgreSQL's own children see on their own that it is gone.
    const question = Buffer.from("PING\r\n")
    for (const port of ports) assert.isTrue(await until(async () => !(await ask(port, question)), 60_000))
    assert.isTrue(await until(() => readdirSync(directory).length === 0, 60_000))
  })

  it("ends as its command did", async () => {
    const main = start("--with", "redis", "--", "sh", "-c", "echo $NIMBUS_REDIS_ADDRESS; exit 3")
    child = main
    const output: Array<Buffer> = []
    main.stdout.on("data", (data: Buffer) => output.push(data))
    const code = await new Promise((resolve) => main.once("close", resolve))
    assert.strictEqual(code, 3)
    assert.match(Buffer.concat(output).toString(), /^127\.0\.0\.1:\d+\n$/)
    assert.deepStrictEqual(readdirSync(directory), [])
  })
})
