/**
 * Keeps kafkajs from looking at every connection's queue each millisecond for ever: it sets a timer for the end of a
 * throttling also where there is none, with a negative time, for which Node prints a warning. With this the timer is
 * set only while something waits.
 */
import { createRequire } from "node:module"
import { Predicate } from "effect"

interface RequestQueue {
  readonly pending: ReadonlyArray<unknown>
  scheduleCheckPendingRequests(): void
}

/** Twice is the same as once. */
export const quietIdleQueues = (): void => {
  if (isQuiet) return
  const module: unknown = createRequire(import.meta.url)("kafkajs/src/network/requestQueue/index.js")
  if (!Predicate.hasProperty(module, "prototype") || !isPrototype(module.prototype)) {
    throw new Error("this kafkajs has no request queue")
  }
  quiet(module.prototype)
  isQuiet = true
}

let isQuiet = false

const quiet = (prototype: RequestQueue): void => {
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this)
  }
}

const isPrototype = (u: unknown): u is RequestQueue =>
  Predicate.hasProperty(u, "scheduleCheckPendingRequests") && typeof u.scheduleCheckPendingRequests === "function"
