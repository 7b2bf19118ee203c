/** What `nimbus start` runs: the handlers and tasks, and beside them the page. `.env` names this file. */
import { Handlers } from "@nimbus/domain"
import { Layer } from "effect"
import { greet, tell } from "./handlers.ts"
import * as Page from "./page.ts"

export default Layer.merge(Handlers.layer([greet, tell]), Page.layer)
