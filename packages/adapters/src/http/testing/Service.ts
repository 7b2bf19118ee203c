/** A service that answers as a test says. */
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Effect } from "effect"

export const secret = `whsec_${Buffer.alloc(24, 7).toString("base64")}`

export interface Request {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly socket: IncomingMessage["socket"]
}

export type Answers = (response: ServerResponse, attempt: number, request: Request) => unknown

/** A service on a free port, which lasts as long as the scope. */
export const serviceOf = Effect.fnUntraced(function* (answers: Answers) {
  const requests: Array<Request> = []
  const server = createServer(async (incoming, response) => {
    const parts: Array<Buffer> = []
    for await (const part of incoming) parts.push(part)
    const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]))
    const request = { headers, body: Buffer.concat(parts).toString(), socket: incoming.socket }
    requests.push(request)
    answers(response, requests.length, request)
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      }),
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { requests, url: `http://127.0.0.1:${port}/orders` }
})

/** An answer that is whole. */
export const json =
  (value: unknown, status = 200) =>
  (response: ServerResponse) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value))
