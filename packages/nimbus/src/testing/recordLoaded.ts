/** For `node --import`: writes what the process has loaded by its end, one URL a line, into the file that `LOADED` names. */
import { writeFileSync } from "node:fs"
import { registerHooks } from "node:module"

const urls: Array<string> = []
registerHooks({
  load(url, context, nextLoad) {
    urls.push(url)
    return nextLoad(url, context)
  },
})
process.once("exit", () => writeFileSync(process.env["LOADED"] ?? "", urls.join("\n")))
