/** The routes of the gateway's HTTP server. A test holds those of the HTTP API and their declaration together. */
import { Effect, Layer } from "effect"
import * as AdminRoutes from "./admin/AdminRoutes.ts"
import { Operators } from "./admin/Operators.ts"
import * as Page from "./admin/Page.ts"
import * as ClientScript from "./http/ClientScript.ts"
import * as Documents from "./http/Documents.ts"
import * as Health from "./http/Health.ts"
import * as Publishing from "./http/Publishing.ts"
import * as Queries from "./http/Queries.ts"
import * as WebSocketTransport from "./websocket/WebSocketTransport.ts"

/** The page and the admin API, where there is anybody who may use them. */
const admin = Layer.unwrap(
  Effect.map(Operators, ({ isOn }) =>
    isOn ? Layer.mergeAll(AdminRoutes.layer, Documents.adminLayer, Page.layer) : Layer.empty,
  ),
)

export const layer = Layer.mergeAll(
  Health.layer,
  ClientScript.layer,
  Publishing.layer,
  Queries.layer,
  Documents.layer,
  WebSocketTransport.routes,
  admin,
)
