/** `npm run reference`: writes dist/reference, a page for each public name, and says which names have no docstring. */
import { join } from "node:path"
import { entrances, read, undocumentedIn } from "./Reference.ts"

const out = join(import.meta.dirname, "../../dist/reference")
const [app, project] = await read()
await app.generateDocs(project, out)

for (const { name } of entrances) {
  const missing = undocumentedIn(project, name)
  if (missing.length > 0) console.log(`${name}: without a docstring: ${missing.join(", ")}`)
}
console.log(`${join(out, "index.html")}`)
