/** The routes of the gateway's HTTP server. A test holds those of the HTTP API and their declaration together. */
import { Effect, Layer } from "effect"
import * as AdminRoutes from "./admin/AdminRoutes.ts"
import { Operators } from "./admin/Operators.ts"
import * as Page from "./admin/Page.ts"
import * as SignIn from "./admin/SignIn.ts"
import * as ClientScript from "./http/ClientScript.ts"
import * as Documents from "./http/Documents.ts"
import * as Health from "./http/Health.ts"
import * as Publishing from "./http/Publishing.ts"
import * as Queries from "./http/Queries.ts"
import * as TicketRoutes from "./http/TicketRoutes.ts"
import * as WebSocketTransport from "./websocket/WebSocketTransport.ts"

/** Which routes a server has, beside those of clients and their health. */
export interface RoutesOptions {
  /** Metrics for all, for viewers, or none. */
  readonly metrics: "all" | "viewers" | "none"
  /** The admin API, and the page; the admin API is there where anybody may use it. */
  readonly admin: boolean
  readonly page: boolean
  /** Whether clients are at the same address. */
  readonly hasClients?: boolean
}

/** For operators. */
export const operationsWith = ({ admin, hasClients = false, metrics, page }: RoutesOptions) =>
  Layer.unwrap(
    Effect.map(Operators, ({ isOn }) =>
      Layer.mergeAll(
        metrics === "all" ? Health.metrics : metrics === "viewers" ? Health.metricsForViewers : Layer.empty,
        admin && isOn ? Layer.merge(AdminRoutes.layer, Documents.adminLayer) : Layer.empty,
        admin && isOn && page ? Layer.merge(Page.layer, SignIn.routesWith({ hasClients })) : Layer.empty,
        Health.layer,
      ),
    ),
  )

/** For clients, and what of that for operators is at the same address. */
export const layerWith = (options: RoutesOptions) =>
  Layer.mergeAll(
    ClientScript.layer,
    Publishing.layer,
    Queries.layer,
    TicketRoutes.layer,
    Documents.layer,
    WebSocketTransport.routes,
    operationsWith({ ...options, hasClients: true }),
  )
