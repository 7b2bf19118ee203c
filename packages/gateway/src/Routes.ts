/** The routes of the gateway's HTTP server. A test holds those of the HTTP API and their declaration together. */
import { Layer, Option } from "effect"
import * as AdminRoutes from "./admin/AdminRoutes.ts"
import type { Access } from "./admin/Authorization.ts"
import * as Page from "./admin/Page.ts"
import * as ClientScript from "./http/ClientScript.ts"
import * as Documents from "./http/Documents.ts"
import * as Health from "./http/Health.ts"
import * as Publishing from "./http/Publishing.ts"
import * as Queries from "./http/Queries.ts"
import * as WebSocketTransport from "./websocket/WebSocketTransport.ts"

/** `admin`: who may use the page and the admin API. None: there is neither. */
export const layerWith = (admin: Option.Option<Access>) =>
  Layer.mergeAll(
    Health.layer,
    ClientScript.layer,
    Publishing.layer,
    Queries.layer,
    Documents.layer,
    WebSocketTransport.routes,
    Option.isSome(admin)
      ? Layer.mergeAll(AdminRoutes.layerWith(admin.value), Documents.adminLayer, Page.layer)
      : Layer.empty,
  )
