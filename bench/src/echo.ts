/** The raw limit: `ws` and nothing else, every frame echoed. */
import { createServer } from "node:http"
import { WebSocketServer } from "ws"

const server = createServer((_, response) => response.end("ok"))
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (ws) => {
  ws.on("message", (data, binary) => ws.send(data, { binary }))
})
server.listen(Number(process.env["PORT"]), "127.0.0.1")
process.on("SIGTERM", () => process.exit(0))
