/** `Operations` on the stores themselves, where no server is asked. */
import {
  Audit,
  claimMailboxes,
  type EventLog,
  LockedServices,
  type Mailbox,
  PodChannelMemory,
  RegistryMemory,
  Topics,
} from "@nimbus/domain/services"
import { NotPossible, type OperationInput, Operations } from "@nimbus/domain/admin"
import { ServiceOperations } from "@nimbus/gateway"
import { Effect, Layer, Option } from "effect"

/** Who is let in no more is written down here too: behind no server nobody else does. */
const told = Layer.effect(
  Operations,
  Effect.gen(function* () {
    const operations = yield* Operations
    const audit = yield* Effect.serviceOption(Audit)
    const telling =
      <I extends OperationInput<"revoke" | "block" | "unblock">, A, E extends { readonly code: string }>(
        name: string,
        act: (input: I) => Effect.Effect<A, E>,
      ) =>
      (input: I) => {
        const tell = (outcome: string) => {
          if (Option.isNone(audit)) return
          const detail = `${name} ${JSON.stringify(input.payload)}`
          audit.value.record({ ...atTheStores, outcome, detail })
        }
        return act(input).pipe(
          Effect.tap(Effect.sync(() => tell("OK"))),
          Effect.tapError(({ code }) => Effect.sync(() => tell(code))),
        )
      }
    return {
      ...operations,
      revoke: telling("revoke", operations.revoke),
      block: telling("block", operations.block),
      unblock: telling("unblock", operations.unblock),
    }
  }),
)

/** Who may use the stores is known by no token. */
const atTheStores = {
  action: "revoke",
  issuer: undefined,
  subject: undefined,
  address: undefined,
  transport: "command",
} as const

/** On the stores themselves, which are bound to their log first, as every process does it. */
export const layer = Layer.effectDiscard(claimMailboxes).pipe(
  Layer.provideMerge(told),
  Layer.provide(ServiceOperations.layer),
  Layer.provide(LockedServices.layer),
)

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
