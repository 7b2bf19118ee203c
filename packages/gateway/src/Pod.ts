/** Who this gateway process is. Fresh per process: an id must never be used by two. */
import { PodId } from "@nimbus/domain/protocol"
import { RandomIds } from "@nimbus/domain/services"
import { Context, Effect, Layer } from "effect"

/** The id of this gateway. Each process has a new one. */
export class Pod extends Context.Service<Pod, { readonly id: PodId }>()("@nimbus/gateway/Pod") {
  static readonly layer = Layer.effect(
    Pod,
    Effect.map(RandomIds, (ids) => ({ id: PodId.make(`gw-${ids.uuid()}`) })),
  )
}
