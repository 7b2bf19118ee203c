/**
 * Keeps kafkajs from looking at every connection's queue each millisecond for ever: it sets a timer for the end of a
 * throttling also where there is none, with a negative time, for which Node prints a warning. With this the timer is
 * set only while something waits.
 */
import { mend } from "./Mend.ts"

interface RequestQueue {
  readonly pending: ReadonlyArray<unknown>
  scheduleCheckPendingRequests(): void
}

/** Idempotent. */
export const quietIdleQueues = (): void =>
  mend("network/requestQueue/index.js", ["scheduleCheckPendingRequests"], quiet)

const quiet = (prototype: RequestQueue): void => {
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this)
  }
}
