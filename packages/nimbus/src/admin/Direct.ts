/** `Operations` on the stores themselves, where no server is asked. */
import {
  claimMailboxes,
  type EventLog,
  type Mailbox,
  PodChannelMemory,
  RegistryMemory,
  Topics,
} from "@nimbus/domain/services"
import { NotPossible, Operations } from "@nimbus/domain/admin"
import { ServiceOperations } from "@nimbus/gateway"
import { Effect, Layer } from "effect"

/** On the stores themselves, which are bound to their log first, as every process does it. */
export const layer = Layer.effectDiscard(claimMailboxes).pipe(Layer.provideMerge(ServiceOperations.layer))

/** The stores of a server that does not run: nobody is connected to it. */
export const closed = <E>(stores: Layer.Layer<EventLog | Mailbox, E, Topics>) =>
  Layer.effect(
    Operations,
    Effect.map(Operations, (operations) => ({
      ...operations,
      kick: () => Effect.fail(notRunning),
      drain: () => Effect.fail(notRunning),
    })),
  ).pipe(
    Layer.provide(layer),
    Layer.provide(Layer.mergeAll(stores, RegistryMemory.layerMemory(), PodChannelMemory.layerMemory())),
    Layer.provide(Topics.layer),
  )

const notRunning = new NotPossible({ message: "no server runs on this data, so no client is connected" })
