/**
 * One client by the SDK, with its memory in a file, in lives that follow each other: a life ends when the client moves
 * to another gateway, and the next knows only what the file says.
 */
import { connect, type Connected, isLost, Memory } from "@nimbus/client"
import { layerFile } from "@nimbus/client/node"
import type { Frames } from "@nimbus/domain/protocol"
import type { Ledger } from "./Ledger.ts"
import { isEnded, type TaskSeen } from "./TasksSeen.ts"

export interface MemberOptions {
  readonly clientId: string
  /** Where the memory's file is; `undefined`: it is kept in the process, for a single life. */
  readonly directory: string | undefined
  /** Events per second, about. */
  readonly rate: number
  /** Events are sent in batches of one to this. */
  readonly batch: number
  /** It asks tasks, too. */
  readonly asksTasks: boolean
}

/** A client has so many tasks under way, about one for so many batches of events. */
const tasks_under_way = 2
const task_share = 0.3
const cancelled_share = 0.15

/** Coming back must not take longer than what is measured. */
const limits = { reconnect_min_ms: 50, reconnect_max_ms: 1_000 }

export class Member {
  readonly ledger: Ledger = { accepted: 0, shown: [], seqs: [] }
  /** By the id of its event. */
  readonly tasks = new Map<string, TaskSeen>()
  readonly clientId: string
  isLive = false
  /** What stopped it, which nothing should. */
  failure: string | undefined
  readonly #options: MemberOptions
  #client: Connected | undefined
  #sending: Promise<void> = Promise.resolve()
  #isSending = true
  /** The highest number handed to the SDK so far. */
  #sent = 0
  #mark = 0
  /** Tasks that were accepted. */
  #asked = 0
  /** The size of the next batch, if it is settled. */
  #flood = 0
  /** Ends the pause between two batches. */
  #wake = () => {}

  constructor(options: MemberOptions) {
    this.clientId = options.clientId
    this.#options = options
  }

  /** Ends this life and begins the next at that gateway. */
  async live(url: string): Promise<void> {
    await this.#client?.close()
    this.#wake()
    await this.#sending
    this.isLive = false
    const { directory } = this.#options
    const client = await connect({
      url,
      clientId: this.clientId,
      limits,
      memory: directory === undefined ? Memory.layerMemory : layerFile(directory),
      onResult: (item) => (item.of === undefined ? this.#show(rootOf(item.data), item.seq) : this.#showTask(item)),
      onLost: (lost) => this.#show(Number.NaN, isLost(lost) ? (lost.upTo ?? Number.NaN) : Number.NaN),
      onStatus: (status) => {
        this.isLive = status === "LIVE"
      },
    })
    this.#client = client
    client.closed.catch((error: unknown) => this.#fail(error))
    this.#sending = this.#send(client)
  }

  /** From now on `isAnswered` asks for the answer to an event that is sent later than now. */
  mark(): void {
    this.#mark = this.#sent + 1
  }

  get isAnswered(): boolean {
    return (this.ledger.shown.at(-1) ?? 0) >= this.#mark
  }

  /** Sends the next events within this time. */
  sendSoon(within_ms: number): void {
    setTimeout(() => this.#wake(), Math.random() * within_ms)
  }

  /** The next batch, which comes at once, has so many events. */
  flood(count: number): void {
    this.#flood = count
    this.#wake()
  }

  get openTasks(): number {
    let open = 0
    for (const task of this.tasks.values()) if (!isEnded(task)) open++
    return open
  }

  /** Sends no more; what was begun is accepted. A last event follows: what comes before its answer is all there is. */
  async finish(): Promise<void> {
    this.#isSending = false
    this.#wake()
    await this.#sending
    this.mark()
    if (this.#client === undefined) return
    if (this.tasks.size > this.#asked) await this.#ask(this.#client)
    await this.#sendNext(this.#client, 1)
  }

  async close(): Promise<void> {
    await this.#client?.close()
  }

  /** What a life that has ended left unaccepted, the next sends again under the same ids. */
  async #send(client: Connected): Promise<void> {
    while (this.#isSending && this.failure === undefined) {
      const count = this.#flood || 1 + Math.floor(Math.random() * this.#options.batch)
      this.#flood = 0
      if (!(await this.#sendNext(client, count))) return
      if (this.#wantsTask && !(await this.#ask(client))) return
      const ms = (1000 * Math.min(count, this.#options.batch) * (0.5 + Math.random())) / this.#options.rate
      if (this.#isSending) await this.#pause(ms)
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** `false`: this life is over. */
  async #sendNext(client: Connected, count: number): Promise<boolean> {
    const first = this.ledger.accepted + 1
    const events = Array.from({ length: count }, (_, i) => ({
      id: `n${first + i}`,
      name: "sq",
      data: { number: first + i },
    }))
    this.#sent = Math.max(this.#sent, first + count - 1)
    try {
      await client.sendAll(events)
    } catch (error) {
      this.#failUnlessClosed(error)
      return false
    }
    this.ledger.accepted += count
    return true
  }

  get #wantsTask(): boolean {
    return this.#options.asksTasks && this.openTasks < tasks_under_way && Math.random() < task_share
  }

  /** The next task, under the same id until it is accepted. */
  async #ask(client: Connected): Promise<boolean> {
    const number = this.#asked + 1
    const id = `t${number}`
    const name = number % 2 === 0 ? "count" : "tell"
    const parts = 1 + ((number * 7) % 20)
    const task: TaskSeen = this.tasks.get(id) ?? { name, parts, cancelAt: cancelAt(parts), items: [] }
    this.tasks.set(id, task)
    try {
      await client.send(name, { parts, pause_ms: 20 + ((number * 37) % 150) }, { id })
      this.#asked = number
      if (task.cancelAt === 0) await client.cancel(id)
    } catch (error) {
      this.#failUnlessClosed(error)
      return false
    }
    return true
  }

  #showTask({ attempt = Number.NaN, data, end, of, part = Number.NaN, seq }: Frames.ResultItem): void {
    const item = { seq, attempt, part, data: typeof data === "number" ? data : undefined, end }
    const task = of === undefined ? undefined : this.tasks.get(of)
    if (of === undefined || task === undefined) return this.#fail(new Error(`an item of ${of}, which it did not ask`))
    task.items.push(item)
    if (task.items.length === task.cancelAt)
      this.#client?.cancel(of).catch((error: unknown) => this.#failUnlessClosed(error))
  }

  #show(number: number, seq: number): void {
    this.ledger.shown.push(number)
    this.ledger.seqs.push(seq)
  }

  /** A life that has ended closes its client. */
  #failUnlessClosed(error: unknown): void {
    if (codeOf(error) !== "CLIENT_CLOSED") this.#fail(error)
  }

  #fail(error: unknown): void {
    this.failure ??= `${this.clientId} stopped: ${error instanceof Error ? error.message : String(error)} (${codeOf(error)})`
  }
}

/** At which of its parts a task is cancelled, if it is. */
const cancelAt = (parts: number): number | undefined =>
  Math.random() < cancelled_share ? Math.floor(Math.random() * parts) : undefined

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "no code"

const rootOf = (data: unknown): number =>
  typeof data === "object" && data !== null && "result" in data && typeof data.result === "number"
    ? Math.sqrt(data.result)
    : Number.NaN
