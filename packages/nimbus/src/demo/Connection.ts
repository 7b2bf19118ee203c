/** A client's line to the server. Cut, its socket is destroyed without a close, and no new one comes about until it is mended. */
import * as NodeWS from "@effect/platform-node/NodeWS"
import { ConnectionClosed, Transport } from "@nimbus/client"
import { Effect } from "effect"

export interface Connection {
  readonly transport: Transport.TransportShape
  readonly cut: Effect.Effect<void>
  readonly mend: Effect.Effect<void>
}

export const make = (): Connection => {
  let isCut = false
  const sockets = new Set<NodeWS.WebSocket>()
  const { connect } = Transport.webSocket(
    class extends NodeWS.WebSocket {
      constructor(url: string, protocols: string | Array<string>) {
        super(url, protocols)
        sockets.add(this)
        this.once("close", () => sockets.delete(this))
      }
    },
  )
  return {
    transport: {
      connect: (url, token) =>
        Effect.suspend(() =>
          isCut
            ? Effect.fail(new ConnectionClosed({ close: 1006, reason: "the connection is cut" }))
            : connect(url, token),
        ),
    },
    cut: Effect.sync(() => {
      isCut = true
      for (const socket of sockets) socket.terminate()
    }),
    mend: Effect.sync(() => {
      isCut = false
    }),
  }
}
