/** Says to operators that this gateway is there, where there are `Members`. */
import { hostname } from "node:os"
import { beMember, Members, reachableAt } from "@nimbus/domain/services"
import { RoleControl } from "@nimbus/domain/admin"
import { Effect, Layer, Option } from "effect"
import { HttpServer } from "effect/http"
import { Delivery } from "./delivery/Delivery.ts"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const members = yield* Effect.serviceOption(Members)
    if (Option.isNone(members)) return
    const address = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
    const roles = yield* (yield* RoleControl).list
    const member = {
      id: (yield* Delivery).pod,
      host: hostname(),
      address: reachableAt(address, hostname()),
      role: roles.length > 0 ? "gateway, pipeline" : "gateway",
    }
    yield* Effect.provideService(beMember(member), Members, members.value)
  }),
)
