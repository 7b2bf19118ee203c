/** Small things that all services need: programs on this machine, ports, waiting. */
import { execFile } from "node:child_process"
import { accessSync, constants, globSync, readFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

/** A line on stderr: stdout belongs to the command that the services are for. */
export const report = (line: string): void => {
  process.stderr.write(`services: ${line}\n`)
}

/** Where a program is: on the PATH, or where Debian hides the programs of PostgreSQL. */
export const findProgram = (name: string): string | undefined => {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), ...globSync("/usr/lib/postgresql/*/bin").sort()]
  return directories.map((directory) => join(directory, name)).find(isExecutable)
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export interface RunOptions {
  readonly timeout_ms: number
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly user?: User | undefined
}

/** Runs a program to its end; answers what it printed, or fails with the end of that. */
export const run = (command: string, args: ReadonlyArray<string>, options: RunOptions): Promise<string> =>
  new Promise((resolve, reject) => {
    const { env, timeout_ms, user } = options
    const settings = { timeout: timeout_ms, maxBuffer: 16 * 1024 * 1024, env: { ...process.env, ...env }, ...user }
    execFile(command, args, settings, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      reject(new Error(`${command}: ${error.message.split("\n")[0]}\n${`${stdout}${stderr}`.trim().slice(-2_000)}`))
    })
  })

export interface User {
  readonly uid: number
  readonly gid: number
}

/** Whom to run a program as that refuses to run as root; `undefined`: as we are. */
export const unprivileged = (): User | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
  const [, , uid, gid] = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody") ?? []
  if (uid === undefined || gid === undefined) throw new Error("no user postgres or nobody to run PostgreSQL as")
  return { uid: Number(uid), gid: Number(gid) }
}

/** Ports of 127.0.0.1 that were free a moment ago, all different. */
export const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const server = createServer()
          server.once("error", reject)
          server.listen(0, "127.0.0.1", () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("a listening socket has no port")
    return address.port
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** One of those ports. */
export const at = (ports: ReadonlyArray<number>, index: number): number => {
  const port = ports[index]
  if (port === undefined) throw new RangeError(`there is no port ${index}`)
  return port
}

/** Asks one question over TCP; answers the first bytes that come back, or nothing within `timeout_ms`. */
export const ask = (port: number, question: Uint8Array, timeout_ms = 1_000): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(question))
    const end = (answer: Buffer | undefined) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(timeout_ms, () => end(undefined))
    socket.once("data", (data: Buffer) => end(data))
    socket.once("error", () => end(undefined))
    socket.once("close", () => end(undefined))
  })

/** Until `condition` holds; `false` when it did not within `within_ms`. */
export const until = async (condition: () => boolean | Promise<boolean>, within_ms: number): Promise<boolean> => {
  const deadline = Date.now() + within_ms
  while (!(await condition())) {
    if (Date.now() > deadline) return false
    await sleep(20)
  }
  return true
}
