/**
 * A client that acknowledges nothing, as a process of its own, to be killed at any moment: it reads, is slower than what
 * it is sent, and writes the number of each result to a file once it is done with it.
 *
 *     node Reader.ts grpc|ws <port> <client id> <file>
 *
 * It does not wait for the disk: what the kernel has outlives the process.
 */
import { openSync, writeSync } from "node:fs"
import { setImmediate } from "node:timers/promises"
import { WebSocket } from "ws"
import * as OldGrpcClient from "./OldGrpcClient.ts"

const [transport, port, clientId, path] = process.argv.slice(2)
if (clientId === undefined || path === undefined) throw new Error("how to use it stands at the top of this file")

const file = openSync(path, "a")
let count = 0

/** Some time for each, and the event loop goes on meanwhile, as with a program that does something. */
const handle = async (number: number): Promise<void> => {
  const until = performance.now() + 0.05
  while (performance.now() < until);
  if (++count % 20 === 0) await setImmediate()
  writeSync(file, `${number}\n`)
}

/** Beyond, nothing is read from the socket. */
const waiting_chars = 64 * 1024

const webSocket = (): void => {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/v1/stream?clientId=${clientId}&ack=auto`)
  const frames: Array<string> = []
  let [chars, isBusy] = [0, false]
  const work = async () => {
    isBusy = true
    for (let text = frames.shift(); text !== undefined; text = frames.shift()) {
      const frame = JSON.parse(text)
      if (frame.type === "results") for (const { data } of frame.items) await handle(data.number)
      chars -= text.length
      if (ws.isPaused && chars < waiting_chars / 2) ws.resume()
    }
    isBusy = false
  }
  ws.on("message", (data: Buffer) => {
    const text = data.toString()
    chars += frames.push(text) > 0 ? text.length : 0
    if (chars > waiting_chars) ws.pause()
    if (!isBusy) void work()
  })
}

if (transport === "ws") webSocket()
else for await (const { number } of OldGrpcClient.listen(Number(port), clientId)) await handle(number)
