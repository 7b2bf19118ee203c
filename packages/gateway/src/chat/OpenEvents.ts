/** What the two events of the open chat are called: that of a socket, and that of the gateway. */
import { Config, Context, Layer, Schema } from "effect"

/** Those that Socket.IO does not carry. */
const reserved = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]

/** A name for an event that nothing else has. */
const nameBeside = (taken: ReadonlyArray<string>) =>
  Schema.String.check(
    Schema.isBetweenLength(1, 128),
    Schema.makeFilter(
      (name) =>
        ![...reserved, ...taken].includes(name) || `must be another name than ${[...reserved, ...taken].join(", ")}`,
    ),
  )

/** What a socket without a room emits. */
export const SendEvent = nameBeside(["broadcast", "auth"]).pipe(Schema.brand("SendEvent"))
export type SendEvent = typeof SendEvent.Type

/** What every socket without a room gets. */
export const ListenEvent = nameBeside(["broadcast", "live", "offset", "lost", "refused", "expiring", "leaving"]).pipe(
  Schema.brand("ListenEvent"),
)
export type ListenEvent = typeof ListenEvent.Type

const names = { send: SendEvent.make("event:message"), listen: ListenEvent.make("event:listen") }

export class OpenEvents extends Context.Reference<typeof names>("@nimbus/gateway/OpenEvents", {
  defaultValue: () => names,
}) {}

/** As `NIMBUS_CHAT_SEND_EVENT` and `NIMBUS_CHAT_LISTEN_EVENT` say. */
export const config = Config.all({
  send: Config.schema(SendEvent, "NIMBUS_CHAT_SEND_EVENT").pipe(Config.withDefault(names.send)),
  listen: Config.schema(ListenEvent, "NIMBUS_CHAT_LISTEN_EVENT").pipe(Config.withDefault(names.listen)),
})

export const layerWith = (events: typeof names = names) => Layer.succeed(OpenEvents, events)
