/** `npm run pack`: the tarballs of all packages, in dist/tarballs. */
import { statSync } from "node:fs"
import { relative } from "node:path"
import { pack } from "./Pack.ts"

for (const path of pack()) {
  console.log(`${relative(process.cwd(), path)}  ${(statSync(path).size / 1024).toFixed(0)} KiB`)
}
