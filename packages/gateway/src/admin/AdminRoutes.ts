/** The admin API over HTTP: `AdminApi` of `@nimbus/domain/admin`, answered by `Operations`. */
import {
  AdminApi,
  AdminReads,
  AdminRequests,
  BadRequest,
  Operations,
  ReadsBusy,
  RoleControl,
} from "@nimbus/domain/admin"
import { Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { Delivery } from "../delivery/Delivery.ts"
import { ReadBudget } from "../http/ReadBudget.ts"
import * as ServiceOperations from "../operations/ServiceOperations.ts"
import * as Authorized from "./Authorized.ts"
import { Snapshots } from "./Snapshots.ts"

const handlers = HttpApiBuilder.group(
  AdminApi,
  "admin",
  Effect.fnUntraced(function* (handlers) {
    const operations = yield* Operations
    const snapshots = yield* Snapshots
    const roles = yield* RoleControl
    const told = yield* Authorized.telling
    const lasting = yield* Authorized.lasting
    return handlers.handleAll({
      ...operations,
      replay: told("replay", operations.replay),
      kick: told("kick", operations.kick),
      forget: told("forget", operations.forget),
      cancel: told("cancel", operations.cancel),
      drain: told("drain", operations.drain),
      retry: told("retry", operations.retry),
      revoke: told("revoke", operations.revoke, "revoke"),
      block: told("block", operations.block, "revoke"),
      unblock: told("unblock", operations.unblock, "revoke"),
      roles: () => roles.list,
      setRole: told("setRole", ({ params, payload }) => roles.set(params.role, payload.isRunning)),
      history: () => snapshots.history,
      pictures: ({ query }) => Effect.flatMap(snapshots.watch(query), lasting),
    })
  }),
)

/** What is wrong with a request is told with the code of its row in docs/errors.md. */
const requests = HttpApiMiddleware.layerSchemaErrorTransform(AdminRequests, ({ cause }) =>
  Effect.fail(new BadRequest({ message: cause.message })),
)

/**
 * These read nothing but this process' memory, or order something: they are never refused. What is watched is paced.
 */
const free = new Set([
  "revoke",
  "block",
  "unblock",
  "roles",
  "setRole",
  "kick",
  "cancel",
  "drain",
  "history",
  "pictures",
])

const busy = HttpServerResponse.schemaJson(ReadsBusy)

/** The others read in their turn. Who is refused is told when to ask again. */
const reads = Layer.effect(
  AdminReads,
  Effect.gen(function* () {
    const budget = yield* ReadBudget
    const { counts } = yield* Delivery
    return (respond, { endpoint }) =>
      free.has(endpoint.identifier)
        ? respond
        : Effect.catchTag(budget.read(respond), "ReadsBusy", (error) => {
            counts.addTo("refused", error.code)
            return Effect.orDie(busy(error, { status: 503, headers: { "retry-after": "1" } }))
          })
  }),
)

/** Routes of the gateway's HTTP server, for requests that `Operators` lets in. */
export const layer = HttpApiBuilder.layer(AdminApi).pipe(
  Layer.provide(handlers),
  Layer.provide([Snapshots.layer, Authorized.layer, reads, requests]),
  Layer.provide(ServiceOperations.layer),
)
