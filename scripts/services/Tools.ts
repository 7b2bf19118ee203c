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

/** Runs a program to its end; returns what it printed, or fails with the end of that. */
export const run = (command: string, args: ReadonlyArray<string>, options: RunOptions): Promise<string> =>
  new Promise((resolve, reject) => {
    const { env, timeout_ms, user } = options
    const settings = { timeout: timeout_ms, maxBuffer: 16 * 1024 * 1024, env: { ...process.env, ...env }, ...user }
    execFile(command, args, settings, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      reject(new Error(`${command}: ${error.message.split("\n")[0]}\n${`${stdout}${stderr}`.trim().slice(-2_000)}`))
    })
  })

/** For apt-get: downloads again what a network lost, and waits for another apt that is at work. */
export const aptPatience = ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"]

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

/**
 * Ports that nobody listens on, all different. They lie below those that a system hands out on its own, so nobody gets
 * one by chance between now and when it is listened on.
 */
export const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const found: Array<number> = []
  for (let tried = 0; found.length < count; tried++) {
    if (tried === port_count) throw new Error("no port is free")
    const port = first_port + (next_port++ % port_count)
    if (await isFree(port)) found.push(port)
  }
  return found
}

const first_port = 10_000
const port_count = 22_000
/** Begins anywhere, so that processes that look at once look elsewhere; none is found twice. */
let next_port = Math.floor(Math.random() * port_count)

/** On any address of this machine. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })

/** One of those ports. */
export const at = (ports: ReadonlyArray<number>, index: number): number => {
  const port = ports[index]
  if (port === undefined) throw new RangeError(`there is no port ${index}`)
  return port
}

/** Asks one question over TCP; returns the first bytes that come back, or nothing within `timeout_ms`. */
export const ask = (port: number, question: Uint8Array, timeout_ms = 5_000): Promise<Buffer | undefined> =>
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
