/**
 * PGlite in a thread of its own, so that the work of PostgreSQL does not block the event loop. Once the database is
 * open, the thread by default has the lowest priority of the system. It speaks the wire protocol of PostgreSQL; the
 * message `"close"` ends it.
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

/** Linux has priorities for threads, and shows the id of this one. On other systems the priority is unchanged. */
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

// Only after the database is open: on a busy machine it would never open at the lowest priority.
if (inBackground) stepBack()

const messages = new Messages()
let last: Promise<void> = Promise.resolve()

const obey = async (given: Uint8Array | "close"): Promise<void> => {
  // A caller that did not wait for a response may still send messages after the close.
  if (database.closed) return
  if (given === "close") {
    await database.close()
    return port.close()
  }
  for (const message of messages.push(given)) {
    await database.execProtocolRawStream(message, { onRawData: (bytes) => port.postMessage(bytes.slice()) })
  }
}

// A failure of PGlite itself ends the thread, because its state is unknown then.
port.on("message", (given: Uint8Array | "close") => {
  last = last.then(() => obey(given))
})
port.postMessage("open")
