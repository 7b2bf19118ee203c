/**
 * Tells a run in the words of `world/Observation.ts`, so that it can be held against the specification in `model/`: what
 * the simulated services see, and, through `CoreObserver`, what the cores do inside of the production shells. Of one
 * client; whoever else connects under its name is taken for another socket of it.
 *
 * A client is known by what it says: what it acknowledges or names as `after`, or is seen to show, it has shown.
 */
import {
  type Cursor,
  decodeEvent,
  type Epoch,
  type PodId,
  PodId as podId,
  type Router,
  type Seq,
  seqUnsafe,
  type Session,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import type { Presence } from "@nimbus/domain/services"
import { Result } from "effect"
import { CoreObserver, seqsOf, spilledOf } from "../CoreObserver.ts"
import type { CoreProbe } from "../CoreProbe.ts"
import type { Observation, Observe } from "../world/Observation.ts"

export interface ObservedTopics {
  readonly events: string
  readonly results: string
  readonly dlq: string
}

export class Observer implements CoreProbe {
  private readonly observe: Observe
  private readonly topics: ObservedTopics
  private readonly partition: number
  private readonly running: () => string
  private readonly cores: CoreObserver
  /** Routers, by process, that have a memory to go on with. */
  private readonly haveRead = new Set<string>()
  private readonly workers = new Set<string>()
  /** The client's own seqs, and how many of them it has shown. */
  private readonly events: Array<Seq> = []
  private shown = 0
  /** By pod: whose pages are asked for, in the order in which that was decided. */
  private readonly reading = new Map<PodId, Array<Session.State>>()
  /** What the stores still answer these reaches nobody. No pod comes back under its id. */
  private readonly died = new Set<PodId>()

  /** `partition`: the client's. `running`: whose code runs at this moment. */
  constructor(topics: ObservedTopics, partition: number, running: () => string, observe: Observe) {
    this.running = running
    this.topics = topics
    this.partition = partition
    this.observe = observe
    this.cores = new CoreObserver((seen) => this.see(seen), this.running)
  }

  // The cores

  router(router: Router.State, input: Router.Input, outputs: ReadonlyArray<Router.Output>): void {
    if (input._tag === "Chunk") this.haveRead.add(this.running())
    this.cores.router(router, input, outputs)
  }

  session(session: Session.State, input: Session.Input, outputs: ReadonlyArray<Session.Output>): void {
    this.cores.session(session, input, outputs)
    if (!outputs.some(({ _tag }) => _tag === "Read")) return
    const ofPod = this.reading.get(session.pod) ?? []
    this.reading.set(session.pod, ofPod)
    ofPod.push(session)
  }

  // The log

  appended(by: string, topic: string, records: ReadonlyArray<StoredRecord>): void {
    if (topic === this.topics.events) for (const record of records) this.enters(record)
    if (topic === this.topics.results) for (const seq of seqsOf(records)) this.observe({ _tag: "Handles", seq })
    if (topic === this.topics.dlq) this.observe({ _tag: "Appends", worker: by, ...spilledOf(records) })
  }

  /** A member of the group begins to read, or goes on. */
  assigned(worker: string, topic: string, partition: number): void {
    if (topic !== this.topics.results || partition !== this.partition) return
    this.workers.add(worker)
    if (this.haveRead.has(worker)) this.observe({ _tag: "ReturnsOwn", worker })
    else this.observe({ _tag: "TakesOver", worker, workers: [...this.workers] })
  }

  committed(worker: string, topic: string, offset: number): void {
    if (topic === this.topics.results) this.observe({ _tag: "Commits", worker, offset })
  }

  // The stores

  put(seqs: ReadonlyArray<Seq>): void {
    for (const seq of seqs) this.observe({ _tag: "Puts", seq })
  }

  trimmed(seq: Cursor): void {
    this.observe({ _tag: "Trims", seq })
  }

  /** Somebody asks for a page: answers what to call when it is read. */
  asksPage(process: string): (seqs: ReadonlyArray<Seq>, after: Cursor) => void {
    const ofPod = this.reading.get(podId.make(process)) ?? []
    // A session that was closed as it decided to read asks for nothing.
    while (ofPod[0] !== undefined && !this.cores.isNewest(ofPod[0])) ofPod.shift()
    const session = ofPod.shift()
    return (seqs, after) => {
      if (session === undefined || this.died.has(session.pod) || !this.cores.isNewest(session)) return
      this.observe({ _tag: "ReadsPage", pod: session.pod, seqs, after })
    }
  }

  mailboxesWiped(): void {
    this.observe({ _tag: "RollsMailboxBack" })
  }

  connected(pod: PodId, clock: Epoch, epoch: Epoch): void {
    this.observe({ _tag: "Connects", pod, clock, epoch })
  }

  registered({ epoch, pod }: Presence, isRefused: boolean): void {
    this.observe({ _tag: "Registers", pod, epoch, isRefused })
  }

  registryWiped(): void {
    this.observe({ _tag: "WipesRegistry" })
  }

  podDied(pod: PodId): void {
    this.died.add(pod)
    this.observe({ _tag: "CrashesPod", pod })
  }

  // The client

  /** It has everything up to here. */
  has(seq: number): void {
    for (; this.shown < this.events.length && this.events[this.shown]! <= seq; this.shown++) {
      this.observe({ _tag: "Shows", seq: this.events[this.shown]! })
    }
  }

  /** What a session hears of the client, it has done before. */
  private see(seen: Observation): void {
    if (seen._tag === "HearsClient") this.has(seen.seq)
    if (seen._tag === "GetsPage") this.has(seen.after)
    this.observe(seen)
  }

  private enters({ offset, value }: StoredRecord): void {
    const seq = seqUnsafe(offset)
    const event = Result.getOrThrow(decodeEvent(value))
    if (event.type === "barrier")
      return this.observe({ _tag: "BarrierSent", seq, pod: event.pod, epoch: event.epoch, number: event.number ?? 0 })
    this.events.push(seq)
    this.observe({ _tag: "Sends", seq })
  }
}
