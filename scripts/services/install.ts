/**
 * Installs what the services need and is not there: `node scripts/services/install.ts [kafka redis postgres]`.
 *
 * Programs come from the Debian packages, which takes root; the jars of Kafka from Maven, into a cache in the home
 * directory. What is there is left alone.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Kafka from "./Kafka.ts"
import { type ServiceName, serviceNames } from "./Service.ts"
import { missing } from "./Services.ts"
import { aptPatience, findProgram, report, run } from "./Tools.ts"

const apt_timeout_ms = 10 * 60_000
const maven_timeout_ms = 5 * 60_000

/** By program: the Debian package that has it. */
const packages: Readonly<Record<ServiceName, Readonly<Record<string, string>>>> = {
  kafka: { java: "default-jre-headless", openssl: "openssl", mvn: "maven" },
  redis: { "redis-server": "redis-server" },
  postgres: { postgres: "postgresql" },
}

export const install = async (names: ReadonlyArray<ServiceName>): Promise<void> => {
  const lacking = names.filter((name) => missing(name) !== undefined)
  await installPackages(lacking)
  if (lacking.includes("kafka") && !existsSync(Kafka.jars)) await installJars()
  for (const name of names) {
    const reason = missing(name)
    if (reason !== undefined) throw new Error(`${name} is still missing: ${reason}`)
  }
}

const installPackages = async (names: ReadonlyArray<ServiceName>): Promise<void> => {
  const wanted = names
    .flatMap((name) => Object.entries(packages[name]))
    .filter(([program]) => findProgram(program) === undefined)
    .map(([, name]) => name)
  if (wanted.length === 0) return
  report(`installing ${wanted.join(", ")}`)
  // RUNLEVEL: the packages would start their services at once, on their usual ports.
  const options = { timeout_ms: apt_timeout_ms, env: { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" } }
  await run("apt-get", [...aptPatience, "update", "-q"], options)
  await run("apt-get", [...aptPatience, "install", "-q", "-y", "--no-install-recommends", ...wanted], options)
}

/** Into a directory beside, and then by its name in one step: nobody sees half of them. */
const installJars = async (): Promise<void> => {
  report(`copying the jars of Kafka from Maven to ${Kafka.jars}`)
  mkdirSync(dirname(Kafka.jars), { recursive: true })
  const directory = mkdtempSync(`${Kafka.jars}-`)
  const pom = join(import.meta.dirname, "kafka.pom.xml")
  try {
    const args = ["-q", "-B", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${directory}`]
    await run(findProgram("mvn") ?? "mvn", [...args, "-DincludeScope=runtime"], { timeout_ms: maven_timeout_ms })
    if (!existsSync(Kafka.jars)) renameSync(directory, Kafka.jars)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const named = process.argv.slice(2)
  await install(serviceNames.filter((name) => named.length === 0 || named.includes(name)))
}
