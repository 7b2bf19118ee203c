/** Who this gateway process is. Fresh per process: an id must never be used by two. */
import { PodId } from "@nimbus/domain/protocol"
import { Context, Effect, Layer } from "effect"

/** The id of this gateway. Each process has a new one. */
export class Pod extends Context.Service<Pod, { readonly id: PodId }>()("@nimbus/gateway/Pod") {
  static readonly layer = Layer.effect(
    Pod,
    Effect.sync(() => ({ id: PodId.make(`gw-${crypto.randomUUID()}`) })),
  )
}
