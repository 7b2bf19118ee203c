/**
 * Installs what the model needs and is not there, from the Debian packages, which takes root: `node model/install.ts`.
 * CI does this; nothing else installs anything.
 */
import { findProgram, report, run } from "../scripts/services/Tools.ts"
import { missing } from "./Spin.ts"

const wanted = ["spin", "gcc"].filter((program) => findProgram(program) === undefined)
if (wanted.length > 0) {
  report(`installing ${wanted.join(", ")}`)
  const options = { timeout_ms: 5 * 60_000, env: { DEBIAN_FRONTEND: "noninteractive" } }
  await run("apt-get", ["update", "-q"], options)
  await run("apt-get", ["install", "-q", "-y", "--no-install-recommends", ...wanted, "libc6-dev"], options)
}
const lacking = missing()
if (lacking !== undefined) throw new Error(`the model still can't be checked: ${lacking}`)
