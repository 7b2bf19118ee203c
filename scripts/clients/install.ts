/**
 * Installs what the recipes of docs/chat.md need and is not there: `node scripts/clients/install.ts [python java]`. Programs
 * come from the Debian packages, which takes root; libraries from PyPI and Maven, into a cache in the home directory.
 */
import { aptPatience, findProgram, report, run } from "../services/Tools.ts"
import { clients, fetchLibrary, languages, missing } from "./Clients.ts"

const named = process.argv.slice(2)
const lacking = languages.filter((language) => named.length === 0 || named.includes(language)).filter(missing)
const packages = lacking
  .flatMap((language) => Object.entries(clients[language].packages))
  .filter(([program]) => findProgram(program) === undefined)
  .map(([, name]) => name)
if (packages.length > 0) {
  report(`installing ${packages.join(", ")}`)
  const options = { timeout_ms: 10 * 60_000, env: { DEBIAN_FRONTEND: "noninteractive" } }
  await run("apt-get", [...aptPatience, "update", "-q"], options)
  await run("apt-get", [...aptPatience, "install", "-q", "-y", "--no-install-recommends", ...packages], options)
}
for (const language of lacking) {
  await fetchLibrary(language)
  const reason = missing(language)
  if (reason !== undefined) throw new Error(`${language} is still missing: ${reason}`)
}
