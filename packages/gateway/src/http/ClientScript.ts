/**
 * `GET /client.js`: the SDK as one ES module, for pages that are built without a bundler.
 *
 * Pages of other origins import it as they may use the gateway (`Admission.ts`). It is as old as the gateway that serves it,
 * and asked for again each time: a page never has an SDK of another version than its gateway.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { endpoints } from "@nimbus/domain/http"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import * as Site from "./Site.ts"

const headers = {
  "cache-control": Site.revalidated,
  "x-content-type-options": "nosniff",
  vary: "accept-encoding, origin",
}

/** The module in `directory`; where there is none, what to run. */
export const layerAt = (directory: string) =>
  Layer.unwrap(
    Effect.sync(() => {
      const path = join(directory, "client.js")
      const file = existsSync(path) ? Site.read(path) : undefined
      const answer = file === undefined ? Effect.succeed(Site.notBuilt("The SDK")) : Site.answer(file, headers)
      return HttpRouter.add(endpoints.clientScript.method, endpoints.clientScript.path, answer)
    }),
  )

export const layer = layerAt(Site.built)
