/**
 * PGlite in a thread of its own, where PostgreSQL's work holds up nobody, by default, once it is open, at the lowest
 * priority that the system has for threads. It hears PostgreSQL's wire protocol and answers in it; `"close"` ends it.
 *
 * ```
 *   "open" ◀── ready          bytes ──▶ messages, one after the other ──▶ PGlite ──▶ bytes
 * ```
 */
import { readlinkSync } from "node:fs"
import { setPriority, constants } from "node:os"
import { parentPort, workerData } from "node:worker_threads"
import { PGlite } from "@electric-sql/pglite"
import { Messages } from "./Messages.ts"

if (parentPort === null) throw new Error("it runs in a worker")
const port = parentPort

/** Linux has priorities for threads, and says which one this is. Elsewhere it stays as it is. */
const stepBack = (): void => {
  try {
    const thread = Number(readlinkSync("/proc/thread-self").split("/").at(-1))
    setPriority(thread, constants.priority.PRIORITY_LOW)
  } catch {
    return
  }
}

interface Given {
  readonly directory: string
  readonly parameters: ReadonlyArray<string>
  readonly inBackground: boolean
}
const { directory, inBackground, parameters }: Given = workerData
const database = await PGlite.create({
  dataDir: directory,
  startParams: [...PGlite.defaultStartParams, ...parameters.flatMap((parameter) => ["-c", parameter])],
})

// Only now: where the processor is busy, at the lowest priority it would never be open.
if (inBackground) stepBack()

const messages = new Messages()
let last: Promise<void> = Promise.resolve()

const obey = async (given: Uint8Array | "close"): Promise<void> => {
  // A caller that did not wait for an answer may still send something when it is closed.
  if (database.closed) return
  if (given === "close") {
    await database.close()
    return port.close()
  }
  for (const message of messages.push(given)) {
    await database.execProtocolRawStream(message, { onRawData: (bytes) => port.postMessage(bytes.slice()) })
  }
}

// A failure of PGlite itself ends the thread: nothing after it can be trusted.
port.on("message", (given: Uint8Array | "close") => {
  last = last.then(() => obey(given))
})
port.postMessage("open")
