/**
 * Installs what the model needs and is not there, from the Debian packages, which takes root: `node packages/simulator/src/model/install.ts`.
 * CI does this; nothing else installs anything.
 */
import { aptPatience, findProgram, report, run } from "../../../../scripts/services/Tools.ts"
import { missing } from "./Spin.ts"

const wanted = ["spin", "gcc"].filter((program) => findProgram(program) === undefined)
if (wanted.length > 0) {
  report(`installing ${wanted.join(", ")}`)
  const options = { timeout_ms: 5 * 60_000, env: { DEBIAN_FRONTEND: "noninteractive" } }
  await run("apt-get", [...aptPatience, "update", "-q"], options)
  const packages = ["--no-install-recommends", ...wanted, "libc6-dev"]
  await run("apt-get", [...aptPatience, "install", "-q", "-y", ...packages], options)
}
const lacking = missing()
if (lacking !== undefined) throw new Error(`the model still can't be checked: ${lacking}`)
