/**
 * The peer of direct delivery: a WebSocket server with a Kafka consumer for each client, as NimbusWS's approach 2 has
 * it. kafkajs at its defaults but for Nagle's delay and retries in the log; `ready` is sent once the consumer has joined.
 */
import { createServer } from "node:http"
import { connect } from "node:net"
import { Kafka, logLevel } from "kafkajs"
import { type WebSocket, WebSocketServer } from "ws"

const kafka = new Kafka({
  brokers: (process.env["NIMBUS_KAFKA_BROKERS"] ?? "").split(","),
  logLevel: logLevel.NOTHING,
  socketFactory: ({ host, onConnect, port }) => connect({ host, port, noDelay: true }, onConnect),
})

const serve = async (ws: WebSocket, clientId: string): Promise<void> => {
  const consumer = kafka.consumer({ groupId: `client-${clientId}` })
  ws.on("close", () => void consumer.disconnect())
  consumer.on(consumer.events.GROUP_JOIN, () => ws.send(`{"type":"status","data":"LIVE"}`))
  await consumer.connect()
  await consumer.subscribe({ topic: "nimbus-results-v1", fromBeginning: false })
  await consumer.run({
    eachMessage: async ({ message: { key, value } }) => {
      if (key?.toString() === clientId) ws.send(`{"type":"processed_finished",${value?.toString().slice(1)}`)
    },
  })
}

const server = createServer((_, response) => response.end("ok\n"))
new WebSocketServer({ server }).on("connection", (ws, { url }) => {
  const clientId = new URL(url ?? "/", "ws://here").searchParams.get("clientId") ?? ""
  serve(ws, clientId).catch((error: unknown) => ws.close(1011, String(error).slice(0, 100)))
})
server.listen(Number(process.env["PORT"]), "127.0.0.1")
