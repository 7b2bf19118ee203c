/**
 * Socket.IO's clients for other languages, in a cache in the home directory, for the tests of the recipes in docs/chat.md:
 * what runs them, why that is missing, and where it is.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join } from "node:path"
import { findProgram, report, run } from "../services/Tools.ts"

export const languages = ["python", "java"] as const
export type Language = (typeof languages)[number]

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "nimbus-clients")
const install_timeout_ms = 5 * 60_000

interface Client {
  /** By program: the Debian package that has it. */
  readonly packages: Readonly<Record<string, string>>
  /** The library and all that it needs. */
  readonly library: string
  fetchTo(directory: string): Promise<unknown>
}

const python_packages = ["python-socketio==5.12.1", "aiohttp==3.11.11"]

export const clients: Readonly<Record<Language, Client>> = {
  python: {
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
    packages: { javac: "default-jdk-headless", mvn: "maven" },
    library: join(cache, "java-socket.io-client-2.1.2"),
    fetchTo: (directory) => {
      const pom = join(import.meta.dirname, "socket.io-client.pom.xml")
      const copy = ["-q", "-B", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${directory}`]
      return run(findProgram("mvn") ?? "mvn", [...copy, "-DincludeScope=runtime"], { timeout_ms: install_timeout_ms })
    },
  },
}

/** Why a recipe can't run on this machine; `undefined` if it can. */
export const missing = (language: Language): string | undefined => {
  const program = { python: "python3", java: "javac" }[language]
  if (findProgram(program) === undefined) return `${program} is not installed`
  const { library } = clients[language]
  return existsSync(library) ? undefined : `Socket.IO's client is not in ${library}`
}

/** Whether its tests run; left out, they say why. Under `NIMBUS_TEST_SERVICES=required` that is a failure instead. */
export const isWanted = (language: Language): boolean => {
  const reason = missing(language)
  if (reason === undefined) return true
  if (process.env["NIMBUS_TEST_SERVICES"] === "required") throw new Error(`${language} can't be tried: ${reason}`)
  report(`the recipe for ${language} is left out: ${reason}`)
  report(`to run it: node_modules/.bin/node scripts/clients/install.ts ${language}`)
  return false
}

/** Into a directory beside, and then by its name in one step: nobody sees half of it. */
export const fetchLibrary = async (language: Language): Promise<void> => {
  const { fetchTo, library } = clients[language]
  if (existsSync(library)) return
  report(`fetching Socket.IO's client for ${language} to ${library}`)
  mkdirSync(dirname(library), { recursive: true })
  const directory = mkdtempSync(`${library}-`)
  try {
    await fetchTo(directory)
    if (!existsSync(library)) renameSync(directory, library)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
