/**
 * Node's HTTP server with doors: a door takes the upgrade requests of its path, or all of them, and everything else goes
 * on to the HTTP application. (An application of Effect upgrades too, but with a fiber per connection and a writer
 * that knows no backpressure.)
 *
 * The port is open before the application is there, and until after it has gone: in between a request is answered 503,
 * for Node itself would leave it without an answer.
 */
import { IncomingMessage, Server, ServerResponse } from "node:http"
import { Duplex } from "node:stream"
import { Context, Effect, Layer, type Scope } from "effect"

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

class DoorServer extends Server {
  readonly doors = new Map<string, UpgradeHandler>()
  readonly requests = new Map<string, RequestHandler>()

  constructor() {
    // Elsewhere it is a request like any other. Taken off HTTP while another one's answer is on the way, it would get
    // none, and its socket would stay for ever.
    super({ shouldUpgradeCallback: (request) => this.doors.has(pathOf(request)) })
  }

  override emit(event: string, ...args: Array<unknown>): boolean {
    const [request, socket, head] = args
    if (
      event === "upgrade" &&
      request instanceof IncomingMessage &&
      socket instanceof Duplex &&
      Buffer.isBuffer(head)
    ) {
      const door = this.doors.get(pathOf(request))
      if (door === undefined) socket.destroy()
      else door(request, socket, head)
      return true
    }
    if (event === "request" && request instanceof IncomingMessage && socket instanceof ServerResponse) {
      const door = this.requests.get(pathOf(request))
      if (door !== undefined) {
        door(request, socket)
        return true
      }
    }
    if (event === "request" && this.listenerCount("request") === 0 && socket instanceof ServerResponse) {
      socket.writeHead(503, { "retry-after": "1" }).end("starting or stopping\n")
      return true
    }
    return super.emit(event, ...args)
  }
}

export class UpgradeServer extends Context.Service<
  UpgradeServer,
  {
    readonly server: Server
    /** Takes the upgrade requests of a path for as long as the scope lives. */
    handle(path: string, handler: UpgradeHandler): Effect.Effect<void, never, Scope.Scope>
    /** The same with its other requests. */
    handleRequests(path: string, handler: RequestHandler): Effect.Effect<void, never, Scope.Scope>
  }
>()("@nimbus/gateway/UpgradeServer") {
  static readonly layer = Layer.sync(UpgradeServer, () => {
    const server = new DoorServer()
    return {
      server,
      handle: (path, handler) =>
        Effect.acquireRelease(
          Effect.sync(() => server.doors.set(path, handler)),
          () => Effect.sync(() => server.doors.delete(path)),
        ),
      handleRequests: (path, handler) =>
        Effect.acquireRelease(
          Effect.sync(() => server.requests.set(path, handler)),
          () => Effect.sync(() => server.requests.delete(path)),
        ),
    }
  })
}

const pathOf = (request: IncomingMessage): string => {
  const url = request.url ?? "/"
  const query = url.indexOf("?")
  return query === -1 ? url : url.slice(0, query)
}
