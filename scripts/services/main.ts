/**
 * Services for a command, or by hand:
 *
 *     node scripts/services/main.ts --with kafka,redis,postgres -- <command> [arguments]
 *
 * starts them, runs the command with their addresses in its environment, stops them, and ends as the command did.
 * Without a command it prints the addresses, one `NAME=value` in a line and an empty line after the last, and does what
 * the lines of its stdin say, until that closes:
 *
 *     start | stop | kill | restart | clear  <service>      answered by "ok" or "failed: <reason>"
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { parseArgs } from "node:util"
import { type Service, type ServiceName, serviceNames, type Services, startServices } from "./Services.ts"
import { report } from "./Tools.ts"

const isServiceName = (name: string): name is ServiceName => serviceNames.some((known) => known === name)

const namesOf = (list: string): ReadonlyArray<ServiceName> =>
  list.split(",").map((name) => {
    if (!isServiceName(name)) throw new Error(`no service ${name}: there are ${serviceNames.join(", ")}`)
    return name
  })

const steps: Readonly<Record<string, (service: Service) => Promise<void>>> = {
  start: (service) => service.start(),
  stop: (service) => service.stop(),
  kill: (service) => service.kill(),
  restart: (service) => service.restart(),
  clear: (service) => service.clear(),
}

/** Runs the command to its end; a signal to us is one to it. */
const runCommand = (command: string, args: ReadonlyArray<string>, services: Services): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...services.environment } })
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal))
    child.once("error", reject)
    child.once("exit", (code) => resolve(code ?? 1))
  })

const obeyLines = async (services: Services): Promise<number> => {
  const lines = createInterface({ input: process.stdin })
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => lines.close())
  for (const [name, value] of Object.entries(services.environment)) process.stdout.write(`${name}=${value}\n`)
  process.stdout.write("\n")
  for await (const line of lines) process.stdout.write(`${await obey(line, services)}\n`)
  return 0
}

const obey = async (line: string, services: Services): Promise<string> => {
  const [verb = "", name = ""] = line.trim().split(/\s+/)
  const step = steps[verb]
  try {
    if (step === undefined || !isServiceName(name)) throw new Error(`no such step: ${line}`)
    await step(services.get(name))
    return "ok"
  } catch (error) {
    return `failed: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`
  }
}

const { positionals, values } = parseArgs({
  options: { with: { type: "string", default: serviceNames.join(",") } },
  allowPositionals: true,
})
const [command, ...args] = positionals
try {
  const services = await startServices(namesOf(values.with))
  try {
    process.exitCode = await (command === undefined ? obeyLines(services) : runCommand(command, args, services))
  } finally {
    await services.stop()
  }
} catch (error) {
  report(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
