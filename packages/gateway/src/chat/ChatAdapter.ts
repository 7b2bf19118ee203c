/**
 * How broadcasts reach the other gateways: a Socket.IO adapter. Without one they reach the sockets of this process, which
 * is all there is on embedded parts.
 */
import { Context } from "effect"
import type { ServerOptions } from "socket.io"

export type AdapterFactory = ServerOptions["adapter"]

/** The adapter of Socket.IO that carries broadcasts between gateways. By default each gateway is alone. */
export const ChatAdapter: Context.Reference<AdapterFactory | undefined> = Context.Reference<AdapterFactory | undefined>(
  "@nimbus/gateway/ChatAdapter",
  { defaultValue: () => undefined },
)
