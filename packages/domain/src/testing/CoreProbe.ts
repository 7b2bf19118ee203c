/**
 * Sees every call of the protocol's cores, `Router` and `Session`, whoever makes it: for what is checked and observed
 * of production shells, which keep their cores to themselves. To watch changes nothing.
 */
import type { Chunk } from "../services/EventLog.ts"
import type { Cursor } from "../protocol/Ids.ts"
import type { Page } from "../services/Mailbox.ts"
import { Router, type SpillBatch } from "../protocol/Router.ts"
import { type Output, Session } from "../protocol/Session.ts"

/** A call that is done, with what it was given or has answered. */
export type RouterCall =
  | { readonly _tag: "Chunk"; readonly chunk: Chunk }
  | { readonly _tag: "Ack"; readonly seq: Cursor }
  | { readonly _tag: "TakePushes"; readonly pushes: ReturnType<Router["takePushes"]> }
  | { readonly _tag: "TakeSpill"; readonly spill: SpillBatch | undefined }
  | { readonly _tag: "Spilled"; readonly spill: SpillBatch }
  | { readonly _tag: "Nack" | "Pass" }

export type SessionCall =
  | { readonly _tag: "Take"; readonly outputs: ReadonlyArray<Output> }
  | { readonly _tag: "Page"; readonly page: Page }
  | { readonly _tag: "Ack"; readonly seq: Cursor; readonly isGood: boolean }
  | { readonly _tag: "PageFailed" | "Push" | "Mail" | "Drain" | "Tick" }

export interface CoreProbe {
  router(router: Router, call: RouterCall): void
  session(session: Session, call: SessionCall): void
}

/** Runs something that ends before it answers, and tells the watcher of each call of a core meanwhile. */
export const probing = <A>(probe: CoreProbe, run: () => A): A => {
  const ofRouter = probeRouters(probe)
  const ofSession = probeSessions(probe)
  try {
    return run()
  } finally {
    Object.assign(Router.prototype, ofRouter)
    Object.assign(Session.prototype, ofSession)
  }
}

/** Answers the methods as they were. */
const probeRouters = (probe: CoreProbe) => {
  const { ack, chunk, nack, pass, spilled, takePushes, takeSpill } = Router.prototype
  Object.assign(Router.prototype, {
    chunk(this: Router, given: Chunk) {
      chunk.call(this, given)
      probe.router(this, { _tag: "Chunk", chunk: given })
    },
    ack(this: Router, ...[clientId, seq]: Parameters<typeof ack>) {
      ack.call(this, clientId, seq)
      probe.router(this, { _tag: "Ack", seq })
    },
    nack(this: Router, ...given: Parameters<typeof nack>) {
      nack.call(this, ...given)
      probe.router(this, { _tag: "Nack" })
    },
    pass(this: Router) {
      pass.call(this)
      probe.router(this, { _tag: "Pass" })
    },
    takePushes(this: Router) {
      const pushes = takePushes.call(this)
      probe.router(this, { _tag: "TakePushes", pushes })
      return pushes
    },
    takeSpill(this: Router, records: number) {
      const spill = takeSpill.call(this, records)
      probe.router(this, { _tag: "TakeSpill", spill })
      return spill
    },
    spilled(this: Router, spill: SpillBatch) {
      spilled.call(this, spill)
      probe.router(this, { _tag: "Spilled", spill })
    },
  } satisfies Partial<Router>)
  return { ack, chunk, nack, pass, spilled, takePushes, takeSpill }
}

const probeSessions = (probe: CoreProbe) => {
  const { ack, drain, mail, page, pageFailed, push, take, tick } = Session.prototype
  Object.assign(Session.prototype, {
    take(this: Session) {
      const outputs = take.call(this)
      probe.session(this, { _tag: "Take", outputs })
      return outputs
    },
    page(this: Session, given: Page) {
      page.call(this, given)
      probe.session(this, { _tag: "Page", page: given })
    },
    ack(this: Session, seq: Parameters<typeof ack>[0]) {
      const isGood = ack.call(this, seq)
      probe.session(this, { _tag: "Ack", seq, isGood })
      return isGood
    },
    pageFailed(this: Session) {
      pageFailed.call(this)
      probe.session(this, { _tag: "PageFailed" })
    },
    push(this: Session, given: Parameters<typeof push>[0]) {
      push.call(this, given)
      probe.session(this, { _tag: "Push" })
    },
    mail(this: Session) {
      mail.call(this)
      probe.session(this, { _tag: "Mail" })
    },
    drain(this: Session) {
      drain.call(this)
      probe.session(this, { _tag: "Drain" })
    },
    tick(this: Session) {
      tick.call(this)
      probe.session(this, { _tag: "Tick" })
    },
  } satisfies Partial<Session>)
  return { ack, drain, mail, page, pageFailed, push, take, tick }
}
