/**
 * Tells what the cores do, call by call, in the words of `world/Observation.ts`: the same for the world's shells and for
 * those of production, whose runs are held against the specification in `model/`. Of one client.
 */
import { Result } from "effect"
import type { Cursor, PodId, Seq } from "../protocol/Ids.ts"
import { seqUnsafe } from "../protocol/Ids.ts"
import { decodePlacedBarrier, isBarrier, type Item, peekSeq, type StoredRecord } from "../protocol/Records.ts"
import type { Router } from "../protocol/Router.ts"
import type { Output, Session } from "../protocol/Session.ts"
import type { CoreProbe, RouterCall, SessionCall } from "./CoreProbe.ts"
import type { Observe } from "./world/Observation.ts"

/** What is known of a session between two calls. */
interface Known {
  upTo: Cursor
  acknowledged: Cursor
  isWelcome: boolean
  /** Those that the last page led over. */
  barriers: ReadonlyArray<Item>
  hasPage: boolean
}

/** The same of a router. */
interface KnownRouter {
  /** Read, and not yet told, for whether they are pushed is not known. */
  read: ReadonlyArray<StoredRecord>
  diverted: number
}

export class CoreObserver implements CoreProbe {
  private readonly observe: Observe
  private readonly nameOf: (router: Router) => string
  private readonly routers = new Map<Router, KnownRouter>()
  private readonly sessions = new Map<Session, Known>()
  private readonly newest = new Map<PodId, Session>()

  /** `nameOf`: whose router this is that has just been called. */
  constructor(observe: Observe, nameOf: (router: Router) => string) {
    this.observe = observe
    this.nameOf = nameOf
  }

  /** Whether it is its pod's session: an older one is over, whatever it still does. */
  isNewest(session: Session): boolean {
    return this.newest.get(session.pod) === session
  }

  router(router: Router, call: RouterCall): void {
    const worker = this.nameOf(router)
    const known = this.routers.get(router) ?? { read: [], diverted: 0 }
    this.routers.set(router, known)
    switch (call._tag) {
      case "Chunk":
        known.read = [...known.read, ...call.chunk.records]
        known.diverted = divertedBy(router)
        return
      case "TakePushes":
        this.tellRead(worker, known.read, new Set([...call.pushes.values()].flat().map(({ seq }) => seq)))
        known.read = []
        return
      case "Ack":
        return this.observe({ _tag: "Hears", worker, seq: call.seq })
      case "TakeSpill":
        if (call.spill !== undefined) this.observe({ _tag: "TakesShelf", worker, ...spilledOf(call.spill.records) })
        return
      case "Spilled":
        return this.observe({ _tag: "Confirmed", worker, seqs: seqsOf(call.spill.records) })
      case "Nack":
      case "Pass":
        if (divertedBy(router) > known.diverted) this.observe({ _tag: "Diverts", worker })
        known.diverted = divertedBy(router)
    }
  }

  session(session: Session, call: SessionCall): void {
    const known = this.sessions.get(session) ?? this.open(session)
    if (this.isNewest(session)) this.tell(session, call, known)
    known.upTo = session.upTo
    known.acknowledged = session.acknowledged
  }

  private open(session: Session): Known {
    const { acknowledged, epoch, pod, upTo } = session
    const known: Known = { upTo, acknowledged, isWelcome: false, barriers: [], hasPage: false }
    this.sessions.set(session, known)
    this.newest.set(pod, session)
    this.observe({ _tag: "Opens", pod, epoch })
    return known
  }

  private tell(session: Session, call: SessionCall, known: Known): void {
    const { pod } = session
    switch (call._tag) {
      case "Page":
        // Until its first page has come it is where the client said.
        if (!known.isWelcome) this.observe({ _tag: "GetsPage", pod, after: known.upTo })
        known.isWelcome = true
        known.hasPage = true
        known.barriers = call.page.records.filter(
          ({ seq, value }) => isBarrier(value) && seq > known.upTo && seq <= session.upTo,
        )
        return
      case "PageFailed":
        return this.observe({ _tag: "EndsPage", pod })
      case "Ack":
        if (call.isGood && call.seq > known.acknowledged) {
          this.observe({ _tag: "HearsClient", pod, seq: seqUnsafe(call.seq) })
        }
        return
      case "Take":
        return this.tellOutputs(session, call.outputs, known)
    }
  }

  /** Deliveries in the order of seqs, which is the order in which they happened. */
  private tellOutputs(session: Session, outputs: ReadonlyArray<Output>, known: Known): void {
    const { pod, status } = session
    const delivered = outputs.flatMap((output) => (output._tag === "Deliver" ? output.items : []))
    for (const { seq, value } of [...delivered, ...known.barriers].sort((a, b) => a.seq - b.seq)) {
      this.observe({ _tag: isBarrier(value) ? "PassesBarrier" : "Delivers", pod, seq })
    }
    for (const output of outputs) if (output._tag === "Ack") this.observe({ _tag: "PassesOn", seq: output.seq })
    if (known.isWelcome && outputs.length > 0) this.observe({ _tag: "Is", pod, status })
    if (known.hasPage) this.observe({ _tag: "EndsPage", pod })
    known.barriers = []
    known.hasPage = false
  }

  private tellRead(worker: string, records: ReadonlyArray<StoredRecord>, pushed: Set<Seq>): void {
    // Of repeats the first was pushed.
    for (const seq of seqsOf(records)) this.observe({ _tag: "Reads", worker, seq, isPushed: pushed.delete(seq) })
  }
}

/** How often it diverted for another reason than a record. */
const divertedBy = ({ counts }: Router): number => counts.nack + counts.unreceived + counts["ack-timeout"]

/** What is told of records on their way to the backlog. */
export const spilledOf = (records: ReadonlyArray<StoredRecord>) => ({
  seqs: seqsOf(records),
  routes: records.map(({ value }) =>
    isBarrier(value) ? Result.getOrThrow(decodePlacedBarrier(value)).barrier.route : undefined,
  ),
})

export const seqsOf = (records: ReadonlyArray<StoredRecord>): ReadonlyArray<Seq> =>
  records.map(({ value }) => peekSeq(value) ?? seqUnsafe(0))
