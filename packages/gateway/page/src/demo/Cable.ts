/**
 * The cable of one sample client: WebSockets go through it until it is cut.
 *
 * Cut, the connection breaks at once and new ones fail, so what follows is the SDK's own: it is OFFLINE, tries again with
 * growing pauses, and resumes once the cable is whole.
 */
export interface Cable {
  /** What the SDK connects by. */
  readonly WebSocket: new (url: string, protocol: string) => WebSocket
  cut(): void
  mend(): void
}

export const makeCable = (): Cable => {
  let isCut = false
  const sockets = new Set<WebSocket>()
  return {
    WebSocket: class extends WebSocket {
      constructor(url: string, protocol: string) {
        if (isCut) throw new Error("the cable is cut")
        super(url, protocol)
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
