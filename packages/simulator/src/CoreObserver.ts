/**
 * Tells what the cores do, step by step, in the words of `world/Observation.ts`: the same for the world's shells and for
 * those of production, whose runs are held against the specification in `model/`. Of one client.
 */
import {
  type Cursor,
  decodePlacedBarrier,
  isBarrier,
  type Item,
  peekSeq,
  type PodId,
  type Router,
  type Seq,
  seqUnsafe,
  type Session,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import { Result } from "effect"
import type { CoreProbe } from "./CoreProbe.ts"
import type { Observe } from "./world/Observation.ts"

/** What is known of a session between two steps. */
interface Known {
  delivered: Cursor
  acked: Cursor
  isWelcome: boolean
}

export class CoreObserver implements CoreProbe {
  private readonly observe: Observe
  private readonly nameOf: (router: Router.State) => string
  /** How often each has diverted for another reason than a record. */
  private readonly diverted = new Map<Router.State, number>()
  private readonly sessions = new Map<Session.State, Known>()
  private readonly newest = new Map<PodId, Session.State>()

  /** `nameOf`: whose router this is that has just been stepped. */
  constructor(observe: Observe, nameOf: (router: Router.State) => string) {
    this.observe = observe
    this.nameOf = nameOf
  }

  /** Whether it is its pod's session: an older one is over, whatever it still does. */
  isNewest(session: Session.State): boolean {
    return this.newest.get(session.pod) === session
  }

  router(router: Router.State, input: Router.Input, outputs: ReadonlyArray<Router.Output>): void {
    const worker = this.nameOf(router)
    switch (input._tag) {
      case "Chunk":
        this.tellRead(worker, input.chunk.records, outputs)
        break
      case "Ack":
        this.observe({ _tag: "Hears", worker, seq: input.seq })
        break
      case "Spilled":
        this.observe({ _tag: "Confirmed", worker, seqs: seqsOf(input.spill.records) })
        break
      case "Nack":
      case "Unreceived":
      case "Tick":
        if (divertedBy(router) > (this.diverted.get(router) ?? 0)) this.observe({ _tag: "Diverts", worker })
    }
    for (const output of outputs) {
      if (output._tag === "Spill") this.observe({ _tag: "TakesShelf", worker, ...spilledOf(output.spill.records) })
    }
    this.diverted.set(router, divertedBy(router))
  }

  session(session: Session.State, input: Session.Input, outputs: ReadonlyArray<Session.Output>): void {
    const known = this.sessions.get(session) ?? this.open(session)
    if (this.isNewest(session)) this.tell(session, input, outputs, known)
    known.delivered = session.delivered
    known.acked = session.acked
  }

  private open(session: Session.State): Known {
    const { acked, delivered, epoch, pod } = session
    const known: Known = { delivered, acked, isWelcome: false }
    this.sessions.set(session, known)
    this.newest.set(pod, session)
    this.observe({ _tag: "Opens", pod, epoch })
    return known
  }

  private tell(
    session: Session.State,
    input: Session.Input,
    outputs: ReadonlyArray<Session.Output>,
    known: Known,
  ): void {
    const { pod, status } = session
    let barriers: ReadonlyArray<Item> = []
    if (input._tag === "Page") {
      // Until its first page has come it is where the client said.
      if (!known.isWelcome) this.observe({ _tag: "GetsPage", pod, after: known.delivered })
      known.isWelcome = true
      const isPassed = ({ seq, value }: Item) => isBarrier(value) && seq > known.delivered && seq <= session.delivered
      barriers = input.page.records.filter(isPassed)
    }
    if (input._tag === "Ack" && input.seq > known.acked && input.seq <= known.delivered) {
      this.observe({ _tag: "HearsClient", pod, seq: seqUnsafe(input.seq) })
    }
    this.tellDelivered(pod, outputs, barriers)
    for (const output of outputs) if (output._tag === "Ack") this.observe({ _tag: "PassesOn", seq: output.seq })
    if (known.isWelcome && outputs.length > 0) this.observe({ _tag: "Is", pod, status })
    if (input._tag === "Page" || input._tag === "PageFailed") this.observe({ _tag: "EndsPage", pod })
  }

  /** In the order of seqs, which is the order in which they happened. */
  private tellDelivered(pod: PodId, outputs: ReadonlyArray<Session.Output>, barriers: ReadonlyArray<Item>): void {
    const delivered = outputs.flatMap((output) => (output._tag === "Deliver" ? output.items : []))
    for (const { seq, value } of [...delivered, ...barriers].sort((a, b) => a.seq - b.seq)) {
      this.observe({ _tag: isBarrier(value) ? "PassesBarrier" : "Delivers", pod, seq })
    }
  }

  private tellRead(worker: string, records: ReadonlyArray<StoredRecord>, outputs: ReadonlyArray<Router.Output>): void {
    const pushes = outputs.flatMap((output) => (output._tag === "Publish" ? output.pushes : []))
    const pushed = new Set<Seq>(pushes.map(({ seq }) => seq))
    // Of repeats the first was pushed.
    for (const seq of seqsOf(records)) this.observe({ _tag: "Reads", worker, seq, isPushed: pushed.delete(seq) })
  }
}

/** How often it diverted for another reason than a record. */
const divertedBy = ({ counts }: Router.State): number => counts.nack + counts.unreceived + counts["ack-timeout"]

/** What is told of records on their way to the backlog. */
export const spilledOf = (records: ReadonlyArray<StoredRecord>) => ({
  seqs: seqsOf(records),
  routes: records.map(({ value }) =>
    isBarrier(value) ? Result.getOrThrow(decodePlacedBarrier(value)).barrier.route : undefined,
  ),
})

export const seqsOf = (records: ReadonlyArray<StoredRecord>): ReadonlyArray<Seq> =>
  records.map(({ value }) => peekSeq(value) ?? seqUnsafe(0))
