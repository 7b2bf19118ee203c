/**
 * Installs what users have and this machine has not: `node scripts/clients/install.ts [python java node20 node22]`. Programs
 * come from the Debian packages, which takes root; libraries and Nodes from PyPI, Maven and npm, into a cache in the home
 * directory.
 */
import { aptPatience, findProgram, report, run } from "../services/Tools.ts"
import { clients, fetchLibrary, missing, names } from "./Clients.ts"

const named = process.argv.slice(2)
const lacking = names.filter((name) => named.length === 0 || named.includes(name)).filter(missing)
const packages = lacking
  .flatMap((name) => Object.entries(clients[name].packages))
  .filter(([program]) => findProgram(program) === undefined)
  .map(([, debianPackage]) => debianPackage)
if (packages.length > 0) {
  report(`installing ${packages.join(", ")}`)
  const options = { timeout_ms: 10 * 60_000, env: { DEBIAN_FRONTEND: "noninteractive" } }
  await run("apt-get", [...aptPatience, "update", "-q"], options)
  await run("apt-get", [...aptPatience, "install", "-q", "-y", "--no-install-recommends", ...packages], options)
}
for (const name of lacking) {
  await fetchLibrary(name)
  const reason = missing(name)
  if (reason !== undefined) throw new Error(`${name} is still missing: ${reason}`)
}
