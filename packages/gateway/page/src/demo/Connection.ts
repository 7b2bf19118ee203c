/**
 * The connection of one sample client: WebSockets go through it until it is cut.
 *
 * Cut, the connection breaks at once and new ones fail, so what follows is the SDK's own: it is OFFLINE, tries again with
 * growing pauses, and resumes once the connection is whole.
 */
export interface Connection {
  /** What the SDK connects by. */
  readonly WebSocket: new (url: string, protocols: string | Array<string>) => WebSocket
  cut(): void
  mend(): void
}

export const makeConnection = (): Connection => {
  let isCut = false
  const sockets = new Set<WebSocket>()
  return {
    WebSocket: class extends WebSocket {
      constructor(url: string, protocols: string | Array<string>) {
        if (isCut) throw new Error("the connection is cut")
        super(url, protocols)
        sockets.add(this)
        this.addEventListener("close", () => sockets.delete(this))
      }
    },
    cut: () => {
      isCut = true
      for (const socket of sockets) socket.close()
    },
    mend: () => {
      isCut = false
    },
  }
}
