/**
 * What the sample gRPC client knows: the numbers it has to have squared, which of their events the log has, and which
 * answers it has shown. It survives any number of calls: the next one begins where the last one broke.
 */
import type { EventResponse } from "@nimbus/gateway/proto"

/** What a call is to say; the names are those of `EventRequest`. */
export interface Saying {
  readonly eventName?: string
  readonly number?: number
  readonly eventId?: string
  readonly ack?: bigint
}

export class Numbers {
  /** The last seq shown; -1: none. Everything up to it is acknowledged by the next call's `after`. */
  last = -1n
  /** The log that `last` belongs to. */
  log: string | undefined = undefined
  repeats = 0
  errors = 0
  private readonly prefix: string
  private readonly unanswered = new Set<string>()
  /** In the order in which they are sent. */
  private readonly unaccepted = new Map<string, number>()

  /** `prefix`: makes this run's event ids differ from all others'. */
  constructor(start: number, end: number, prefix: string) {
    this.prefix = prefix
    for (let number = start; number <= end; number++) {
      this.unanswered.add(this.idOf(number))
      this.unaccepted.set(this.idOf(number), number)
    }
  }

  get missing(): number {
    return this.unanswered.size
  }

  /** The events that the log may not have. Sent twice they have one id, and their second answer is dropped. */
  toSend(): ReadonlyArray<Saying> {
    return Array.from(this.unaccepted, ([eventId, number]) => ({ eventName: "sq", number, eventId }))
  }

  /** Takes a response; returns a line to show, if it has one. */
  take(response: EventResponse): string | undefined {
    for (const id of response.accepted) this.unaccepted.delete(id)
    if (response.welcome !== undefined) this.log = response.welcome.log
    if (response.lost !== undefined) return response.log?.steps.at(-1)?.message
    if (response.seq !== undefined) return this.takeResult(response, response.seq)
    return response.error === undefined ? undefined : this.takeRefusal(response)
  }

  private takeResult({ dataJson, error, eventId, eventName, number, result }: EventResponse, seq: bigint) {
    const isRepeat = seq <= this.last
    if (!isRepeat) this.last = seq
    this.unaccepted.delete(eventId)
    const isOurs = eventId.startsWith(this.prefix)
    if (isRepeat || (isOurs && !this.unanswered.delete(eventId))) {
      this.repeats += 1
      return undefined
    }
    if (error !== undefined) this.errors += 1
    const content = error === undefined ? (dataJson ?? `${result}`) : `error ${error.code}: ${error.message}`
    return isOurs
      ? `${eventName}(${eventId.slice(this.prefix.length)}) = ${content}, seq ${seq}`
      : `${eventName} ${number}: ${content}, seq ${seq} (not of this run)`
  }

  private takeRefusal({ error, eventId }: EventResponse): string {
    this.unaccepted.delete(eventId)
    if (this.unanswered.delete(eventId)) this.errors += 1
    return `refused: ${error?.code}: ${error?.message}`
  }

  private idOf(number: number): string {
    return `${this.prefix}${number}`
  }
}
