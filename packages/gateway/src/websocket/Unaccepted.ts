/**
 * The events of one connection whose client was not told yet that they are accepted, in the order in which it sent
 * them, which is their order in the log.
 *
 * The result of an event may arrive before the log has answered the publish. It proves that the log has this event and
 * everything that the connection sent before it, so the client is told of those first: it never sees the result of an
 * event that it does not know as accepted. What waits here also waits in the intake, and is bounded by it.
 */

export interface Waiting {
  readonly id: string
  readonly created_at: string
  readonly hasData: boolean
  /** The event's record, which the intake holds as well, so that it is in memory once. */
  readonly record: Uint8Array
}

export class Unaccepted {
  private waiting: Array<Waiting> = []
  /** Events that a result has proved, and for which the log has not answered. */
  private proved = 0

  add(event: Waiting): void {
    this.waiting.push(event)
  }

  /** The log has answered for the next `count` events. Those of them that the client is to be told now. */
  accepted(count: number): ReadonlyArray<Waiting> {
    const told = Math.min(this.proved, count)
    this.proved -= told
    return this.waiting.splice(0, count - told)
  }

  /** A result of this event has arrived. Those that the client is to be told before it. */
  prove(id: string, created_at: string): ReadonlyArray<Waiting> {
    // A client may use an id again, so the time counts too.
    const at = this.waiting.findIndex((event) => event.id === id && event.created_at === created_at)
    this.proved += at + 1
    return this.waiting.splice(0, at + 1)
  }
}
