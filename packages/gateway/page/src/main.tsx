/** Starts the page: what streams in, and what is shown. */
import { render } from "preact"
import { App } from "./App.tsx"
import { followAddress } from "./router.ts"
import { watch } from "./state/live.ts"

const page = document.getElementById("page")
if (page === null) throw new Error("index.html has no #page")
page.replaceChildren()
followAddress()
watch()
render(<App />, page)
