/** A server of a test on a free port of this machine, which it tells, as long as the scope. */
import { once } from "node:events"
import type { Server } from "node:http"
import { Effect } from "effect"

export const listening = (server: Server) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
      () =>
        Effect.promise(() => {
          server.closeAllConnections()
          return new Promise((resolve) => server.close(resolve))
        }),
    ),
    () => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    },
  )
