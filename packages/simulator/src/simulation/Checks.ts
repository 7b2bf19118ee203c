/**
 * What must hold in a run. It keeps an account of its own, from what the topics got and the clients were shown, and
 * shares nothing with what it checks.
 *
 * At any time:
 * - *exactly once, in order*: a client is shown its records one by one in the order of the events topic, each once; its
 *   own events among them are 1, 2, 3, …
 * - *a session delivers without gaps*: each record is the client's next, but for those that the client has.
 * - *a push states a fact* to a session that has been LIVE by its route: `prev` is the client's record just before `seq`.
 * - *only the client's ack counts*: nobody acknowledges what the client's memory does not hold, but what it was told to
 *   be lost.
 * - *the commit never skips*: what lies before a commit, or is said to be finished above it, is where it was to go.
 * - *a repeat is one by the log alone*: whatever worker answers, an event or a message repeats the first with its id in
 *   the window, and no other is a repeat.
 * - *an event whose name no handler has waits*: it is not answered before `unknown_event_wait_ms` after the log got it.
 * - *epochs*: a pod never uses one of its own twice for the same client.
 * - *bounds*: windows, produce requests, one of them under way at a time; of what cores keep, see `Bounds.ts`.
 *
 * - *nothing is lost*: nobody is told of a loss, but where retention or the limits of mailboxes have removed something; and
 *   what does not come is in what was told.
 *
 * In the end, *it settles*: everyone is LIVE and has everything, and only the newest session of a client delivers. Once
 * no gateway lives, *who has no gateway is OFFLINE*.
 */
import {
  type ClientId,
  type Cursor,
  decodeEvent,
  decodeResult,
  type Epoch,
  finishedAbove,
  type Incarnation,
  isBarrier,
  isTaskRecord,
  peekSeq,
  type PodId,
  type Push,
  type RouteId,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import type { Committed } from "@nimbus/domain/services"
import { Result } from "effect"
import type { Application } from "./Application.ts"
import { byTheLog, type TaskChecks, type TaskItem } from "./TaskChecks.ts"
import { isTaskName } from "./TaskPlan.ts"
import { isLoss, type Loss, type Shown, type SimulatedLimits } from "./Production.ts"
import { Session, type Told } from "./Session.ts"
import type { Trace } from "./Trace.ts"
import { Violation } from "./Violation.ts"
import type { Watcher } from "./Watcher.ts"

interface Entry {
  readonly seq: number
  readonly isBarrier: boolean
  /** An event that the log has already, under the same id. Its client has had the answer, or will have. */
  readonly isRepeat: boolean
  /** Where its id was used first within the window, if it was. */
  readonly first: number | undefined
  /** When the log got it. */
  readonly at_ms: number
  /** The number of the client's own event. */
  readonly n: number | undefined
  /** A part of a task, or its end. */
  readonly item?: TaskItem | undefined
}

interface Account {
  /** All of the client's records, in order, barriers included. */
  readonly entries: Array<Entry>
  /** By kind and id: the seqs that have it. */
  readonly ids: Map<string, Array<number>>
  /** By the id of an event: the task that answers it. */
  readonly answers: Map<string, number>
  /** The highest `n` of its own events in the log. */
  last_n: number
  /** The highest seq that was shown, and up to where acks were checked. */
  shown: number
  checkedAck: number
  /** What its application was told will not come. */
  readonly losses: Array<Told>
}

export interface Topics {
  readonly events: string
  readonly results: string
  readonly dlq: string
  readonly tasks: string
}

export class Checks implements Watcher {
  /** Set where something was removed before its client had it. */
  mayLose = false
  /** Set once older sessions have had their time to end. */
  onlyTheNewest = false
  /** The first rule that did not hold. Kept, not thrown: what is checked would catch it. */
  violation: Violation | undefined = undefined
  private readonly topics: Topics
  private readonly limits: SimulatedLimits
  private readonly incarnation: Incarnation
  private readonly trace: Trace
  private readonly applications = new Map<string, Application>()
  private readonly accounts = new Map<string, Account>()
  private readonly sessions = new Set<Session>()
  private opened = 0
  /** By partition: the seqs that the results topic has, and what stands where in it. */
  private readonly results = new Map<number, { readonly seqs: Set<number>; readonly records: Array<StoredRecord> }>()
  private readonly dlq = new Set<string>()
  private readonly checkedCommit = new Map<string, number>()
  /** By route: those that nobody has been LIVE by. */
  private readonly pushes = new Map<RouteId, Array<Push>>()
  /** By pod: whose session had which epoch there. */
  private readonly epochs = new Map<PodId, Set<string>>()

  /** What must hold of tasks (`TaskChecks`). */
  readonly tasks: TaskChecks

  constructor(
    topics: Topics,
    limits: SimulatedLimits,
    incarnation: Incarnation,
    trace: Trace,
    tasks: (report: Checks["report"]) => TaskChecks,
  ) {
    this.tasks = tasks((rule, message) => this.report(rule, message))
    this.topics = topics
    this.limits = limits
    this.incarnation = incarnation
    this.trace = trace
  }

  report(rule: string, message: string): void {
    this.violation ??= new Violation(rule, message)
  }

  add(application: Application): void {
    this.applications.set(application.clientId, application)
    this.accounts.set(application.clientId, {
      entries: [],
      ids: new Map(),
      answers: new Map(),
      last_n: 0,
      shown: -1,
      checkedAck: -1,
      losses: [],
    })
  }

  /** Of services */

  appended(topic: string, partition: number, records: ReadonlyArray<StoredRecord>): void {
    if (topic === this.topics.events) for (const record of records) this.enter(partition, record)
    else if (topic === this.topics.results) {
      const { records: all, seqs } = this.resultsOf(partition)
      for (const record of records) {
        seqs.add(seqOf(record.value))
        this.checkAnswer(record)
      }
      all.push(...records)
    } else if (topic === this.topics.tasks) this.tasks.noted(partition, records)
    else if (topic === this.topics.dlq) {
      for (const { key, value } of records) this.dlq.add(`${key} ${seqOf(value)}`)
    }
  }

  committed(topic: string, partition: number, committed: Committed): void {
    const key = `${topic} ${partition}`
    const { next } = committed
    if (topic === this.topics.events) this.checkFinished(partition, committed)
    if (topic === this.topics.tasks)
      return this.tasks.committed(partition, next, finishedAbove(committed, this.incarnation).has)
    const from = this.checkedCommit.get(key) ?? 0
    for (let offset = from; offset < next; offset++) {
      if (topic === this.topics.events && !this.isFinished(partition, offset)) {
        return this.report("the commit never skips", `what must leave for event ${partition}/${offset} is nowhere`)
      }
      if (topic === this.topics.results) this.checkRouted(partition, offset)
    }
    this.checkedCommit.set(key, Math.max(from, next))
  }

  publishing(process: string, topic: string, partition: number, records: number, underWay: number): void {
    const { dlq, results, tasks } = this.topics
    const isOrdered =
      [results, dlq, tasks].includes(topic) || process.startsWith("gateway") || process.startsWith("task-worker")
    if (isOrdered && underWay > 0) {
      return this.report("bounds", `${process} has two publishes to ${topic}/${partition} under way`)
    }
    if (!process.startsWith("gateway") && topic !== this.topics.events && records > this.limits.chunk_records) {
      return this.report("bounds", `${process} publishes ${records} records at once`)
    }
  }

  pushed(pushes: ReadonlyArray<Push>): void {
    for (const push of pushes) {
      const ofRoute = this.pushes.get(push.route)
      if (ofRoute === undefined) this.pushes.set(push.route, [push])
      else ofRoute.push(push)
    }
    this.trace.count("rule: a push", pushes.length)
  }

  /** A session is, or has last been, LIVE by this route: what is pushed by it must be so. */
  liveBy(route: RouteId): void {
    const pushes = this.pushes.get(route)
    if (pushes === undefined) return
    this.pushes.delete(route)
    for (const { clientId, prev, seq } of pushes) {
      const { entries } = this.account(clientId)
      const before = entries[indexAbove(entries, seq - 1) - 1]
      if (before?.seq !== prev) {
        return this.report("a push states a fact", `${clientId} ${prev}→${seq}, but ${before?.seq} is before ${seq}`)
      }
    }
  }

  acknowledged(process: string, clientId: ClientId, seq: Cursor): void {
    const account = this.account(clientId)
    const { last } = this.application(clientId).disk
    const { entries } = account
    for (let i = indexAbove(entries, Math.max(account.checkedAck, last)); i < entries.length; i++) {
      const entry = entries[i]!
      if (entry.seq > seq) break
      // What it was told to be lost it does not wait for.
      if (entry.isBarrier || entry.isRepeat || isTold(account.losses, entry.seq)) continue
      return this.report(
        "only the client's ack counts",
        `${process} acknowledges ${seq} of ${clientId}, who has ${last}`,
      )
    }
    account.checkedAck = Math.max(account.checkedAck, Math.min(seq, last))
  }

  /** Of transports */

  watch(pod: PodId, clientId: ClientId): Session {
    const session = new Session(pod, clientId, this.opened++, this.limits.session.window_results, {
      next: (after, told) => this.nextFor(clientId, after, told),
      lost: (loss) => this.told(clientId, loss),
      isNewest: () => {
        const all = [...this.sessions].filter((other) => other.clientId === clientId)
        return all.every((other) => other === session || !other.isNewerThan(session))
      },
      mustBeNewest: () => this.onlyTheNewest,
      uses: (epoch) => this.used(pod, clientId, epoch),
      ended: () => this.sessions.delete(session),
      report: (rule, message) => this.report(rule, message),
    })
    this.sessions.add(session)
    this.trace.count("rule: a session")
    return session
  }

  /** The process of a pod is gone, and its sessions with it. */
  podDied(pod: PodId): void {
    for (const session of this.sessions) if (session.pod === pod) this.sessions.delete(session)
  }

  /** Of clients */

  shown(clientId: ClientId, shown: Shown | Loss): void {
    const account = this.account(clientId)
    if (isLoss(shown)) {
      const told = this.told(clientId, shown)
      if (told === undefined) return this.report("nothing is lost", `${clientId} is told of a loss`)
      this.trace.count(`rule: a client is told lost${shown.upTo === undefined ? ", range unknown" : ""}`)
      return void account.losses.push(told)
    }
    const next = this.expected(clientId, account.shown)
    const expected = this.mayLose ? (this.besidesLosses(account, shown.seq, next) ?? next) : next
    // One that has no handler, or whose handler took too long, has an error instead.
    const isOther = expected !== undefined && isOtherData(expected, shown.data)
    if (expected?.seq !== shown.seq || isOther) {
      return this.report(
        "exactly once, in order",
        `${clientId} is shown ${shown.seq} (${JSON.stringify(shown.data)}) after ${account.shown}, not ${expected?.seq} (${expected?.n})`,
      )
    }
    account.shown = shown.seq
  }

  restarted(clientId: ClientId): void {
    const { disk } = this.application(clientId)
    const account = this.account(clientId)
    account.shown = Math.min(account.shown, disk.last)
  }

  /** In the end */

  /** What is still missing; nothing, once all is as it should be. */
  missing(): string | undefined {
    for (const [id, application] of this.applications) {
      const account = this.account(id)
      const { accepted, wanted } = application
      if (accepted.size < wanted) return `${id}: ${wanted - accepted.size} events of ${wanted} are not accepted`
      const next = this.expected(id, account.shown)
      if (next !== undefined) return `${id} has not got ${next.seq}`
      const sessions = [...this.sessions].filter(({ clientId }) => clientId === id)
      if (sessions.length !== 1) return `${id} has ${sessions.length} sessions`
      if (sessions[0]!.currentStatus !== "LIVE") return `${id} is ${sessions[0]!.currentStatus}`
    }
    return this.tasks.missing()
  }

  /** Each list as a whole, by the numbers alone; those that have no number, for they have an error, are known by their seqs. */
  lists(): void {
    if (this.mayLose) return
    for (const [id, application] of this.applications) {
      const numbers = new Map(this.account(id).entries.map(({ n, seq }) => [seq, n]))
      const own = application.shown
        .map(({ data, seq }) => data ?? numbers.get(seq))
        .filter((data) => typeof data === "number")
      const all = Array.from({ length: application.wanted }, (_, i) => i + 1)
      const wanted = all.filter((n) => !isTaskName(application.nameOf(n)))
      if (own.join(" ") !== wanted.join(" ")) {
        return this.report("exactly once, in order", `${id} has ${own.join(" ")}, not ${wanted.join(" ")}`)
      }
    }
  }

  /** How many count as connected, while no gateway lives. */
  counted(connected: number): void {
    if (connected > 0) this.report("who has no gateway is OFFLINE", `${connected} clients are counted as connected`)
  }

  /** What the registry has answered is not used yet: the pod may ask again. */
  private used(pod: PodId, clientId: ClientId, epoch: Epoch): void {
    const session = `${clientId} ${epoch}`
    const used = this.epochs.get(pod) ?? new Set()
    this.epochs.set(pod, used)
    if (used.has(session)) this.report("epochs", `${pod} uses ${epoch} again for ${clientId}`)
    used.add(session)
  }

  // The account

  private enter(partition: number, stored: StoredRecord): void {
    const { key, offset: seq, timestamp: at_ms, value } = stored
    const common = { seq, isBarrier: false, isRepeat: false, first: undefined, at_ms, n: undefined }
    if (isTaskRecord(value)) {
      const item = this.tasks.write(partition, stored)
      if (item !== undefined) this.enterItem(key, common, item)
      return
    }
    const decoded = decodeEvent(value)
    if (Result.isFailure(decoded)) return this.report("records", `${key} ${seq}: ${decoded.failure.reason}`)
    const account = this.account(key)
    const record = decoded.success
    if (record.type === "barrier") {
      this.trace.count("rule: a barrier")
      account.entries.push({ ...common, isBarrier: true })
      return
    }
    const n = record.type === "event" && typeof record.data === "number" ? record.data : undefined
    const uses = account.ids.get(`${record.type} ${record.id}`) ?? []
    const isRepeat = record.type === "event" && uses.length > 0
    const first = uses.find((use) => use > seq - this.limits.repeats.dedupe_records)
    if (isRepeat) this.trace.count(`rule: an event comes twice${first === undefined ? ", beyond the window" : ""}`)
    account.ids.set(`${record.type} ${record.id}`, [...uses, seq])
    const isTask =
      record.type === "event" && first === undefined && this.tasks.event(partition, stored, record.id, record.name, n)
    if (!isTask) account.entries.push({ ...common, isRepeat, first, n })
    if (n === undefined || isRepeat) return
    if (n !== account.last_n + 1) {
      return this.report("events in order", `${key} has ${n} after ${account.last_n} in the events topic`)
    }
    account.last_n = n
  }

  /** An id that was used twice, beyond the window, has two tasks. Its client is shown the one whose items come first. */
  private enterItem(clientId: string, entry: Entry, item: TaskItem): void {
    const { answers, entries } = this.account(clientId)
    const first = answers.get(item.of) ?? item.task
    answers.set(item.of, first)
    entries.push({ ...entry, item, isRepeat: item.task !== first })
  }

  /** The next that a client's application is to be shown. */
  private expected(clientId: string, after: number): Entry | undefined {
    const { entries, losses } = this.account(clientId)
    for (let i = indexAbove(entries, after); i < entries.length; i++) {
      const entry = entries[i]!
      if (!entry.isBarrier && !entry.isRepeat && !isTold(losses, entry.seq)) return entry
    }
    return undefined
  }

  /**
   * Of what was told to be lost, some may come all the same where the range was not known; and the second answer of an
   * event that came twice, where the first was lost.
   */
  private besidesLosses(account: Account, seq: number, next: Entry | undefined): Entry | undefined {
    const entry = account.entries[indexAbove(account.entries, seq - 1)]
    if (entry?.seq !== seq || seq <= account.shown || entry.isBarrier || (next !== undefined && seq > next.seq)) {
      return undefined
    }
    return entry.isRepeat || isTold(account.losses, seq) ? entry : undefined
  }

  private nextFor(clientId: string, after: number, told: ReadonlyArray<Told>): number | undefined {
    const { entries, losses } = this.account(clientId)
    const has = this.application(clientId).disk.last
    for (let i = indexAbove(entries, after); i < entries.length; i++) {
      const { isBarrier, seq } = entries[i]!
      if (!isBarrier && seq > has && !isTold(told, seq) && !isTold(losses, seq)) return seq
    }
    return undefined
  }

  private told(clientId: string, { after, upTo }: Loss): Told | undefined {
    const end = (this.account(clientId).entries.at(-1)?.seq ?? -1) + 1
    return this.mayLose ? { after, upTo, end } : undefined
  }

  private checkAnswer({ key, timestamp, value }: StoredRecord): void {
    if (isBarrier(value)) return
    const seq = seqOf(value)
    const { entries } = this.account(key)
    const entry = entries[indexAbove(entries, seq - 1)]
    const decoded = decodeResult(value)
    const of = Result.isSuccess(decoded) ? decoded.success.of : undefined
    if (entry?.seq !== seq && of !== undefined) return this.report(byTheLog, `${key} ${seq} is an item of ${of}`)
    if (entry?.seq !== seq || Result.isFailure(decoded))
      return this.report("records", `${key} ${seq}, a result, is of no event or can't be read`)
    const { error, repeated } = decoded.success
    this.checkVerdict(entry, repeated)
    if (entry.item !== undefined) return this.tasks.checkItem(entry.item, { key, value, offset: seq, timestamp })
    if (error?.code === "HANDLER_TIMEOUT") this.trace.count("rule: a handler's time was over")
    if (error?.code === "UNKNOWN_EVENT") this.checkWait(entry, timestamp)
  }

  /** Whoever answers, after whatever crash: an id that was used in the window is a repeat of that, and no other is one. */
  private checkVerdict({ first, seq }: Entry, repeated: number | undefined): void {
    if (repeated === first) return
    this.report("a repeat is one by the log alone", `${seq} repeats ${repeated}, not ${first}`)
  }

  private checkWait({ at_ms, seq }: Entry, answered_ms: number): void {
    this.trace.count("rule: an event whose name no handler has")
    const { unknown_event_wait_ms } = this.limits
    if (answered_ms - at_ms >= unknown_event_wait_ms) return
    const waited = `${seq} was answered after ${answered_ms - at_ms} ms, not ${unknown_event_wait_ms}`
    this.report("an event whose name no handler has waits", waited)
  }

  /** What a commit says is finished above it. */
  private checkFinished(partition: number, committed: Committed): void {
    const { bits, has } = finishedAbove(committed, this.incarnation)
    for (let offset = committed.next; offset < committed.next + 8 * bits.length; offset++) {
      if (!has(offset) || this.isFinished(partition, offset)) continue
      return this.report("the commit never skips", `event ${partition}/${offset} is finished, and not what must leave`)
    }
  }

  private isFinished(partition: number, offset: number): boolean {
    const hasResult = this.resultsOf(partition).seqs.has(offset)
    return this.tasks.isFinished(partition, offset, hasResult) ?? hasResult
  }

  /** What a router has left behind is in the backlog, or its client has it. */
  private checkRouted(partition: number, offset: number): void {
    const { key, value } = this.resultsOf(partition).records[offset]!
    const seq = seqOf(value)
    if (this.dlq.has(`${key} ${seq}`) || seq <= this.application(key).disk.last) return
    return this.report("the commit never skips", `${key} ${seq}, result ${partition}/${offset}, is nowhere`)
  }

  private resultsOf(partition: number) {
    const known = this.results.get(partition) ?? { seqs: new Set<number>(), records: [] }
    this.results.set(partition, known)
    return known
  }

  private account(clientId: string): Account {
    return this.accounts.get(clientId)!
  }

  private application(clientId: string): Application {
    return this.applications.get(clientId)!
  }
}

/** What has no number of its own has an error instead, as the end of a task has no data. */
const isOtherData = ({ item, n }: Entry, data: unknown): boolean =>
  (n !== undefined && data !== undefined && data !== n) ||
  (item?.data !== undefined && JSON.stringify(data) !== JSON.stringify(item.data))

const isTold = (losses: ReadonlyArray<Told>, seq: number): boolean =>
  losses.some(({ after, end, upTo }) => seq > after && (upTo === undefined ? seq < end : seq <= upTo))

/** -1: not a record of ours. */
const seqOf = (value: Uint8Array): number => peekSeq(value) ?? -1

/** The index of the first entry above `seq`. */
const indexAbove = (entries: ReadonlyArray<Entry>, seq: number): number => {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (entries[middle]!.seq > seq) high = middle
    else low = middle + 1
  }
  return low
}
