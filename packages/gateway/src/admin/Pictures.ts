/** What the page draws: a picture of the whole system once a second, and the last minutes of it. */
import type { ClientsAsked } from "./Census.ts"
import type { Picture, Pulse } from "@nimbus/domain/admin"
import { Context, Effect, Layer, Stream } from "effect"

export class Pictures extends Context.Service<
  Pictures,
  {
    /** The last minutes, oldest first. */
    readonly history: Effect.Effect<ReadonlyArray<Pulse>>
    /** A picture a second, with the clients that were asked for. */
    stream(which: ClientsAsked): Stream.Stream<Picture>
  }
>()("@nimbus/gateway/Pictures") {
  static readonly layerEmpty = Layer.succeed(Pictures, {
    history: Effect.succeed([]),
    stream: () => Stream.empty,
  })
}
