/**
 * Sees every call of the protocol's cores, `Router` and `Session`, whoever makes it: for what is checked and observed
 * of production shells, which keep their cores to themselves. To watch changes nothing.
 */
import type { Chunk } from "../services/EventLog.ts"
import type { Cursor } from "../protocol/Ids.ts"
import type { Page } from "../services/Mailbox.ts"
import { Router, type Shelf } from "../protocol/Router.ts"
import { type Output, Session } from "../protocol/Session.ts"

/** A call that is done, with what it was given or has answered. */
export type RouterCall =
  | { readonly _tag: "Chunk"; readonly chunk: Chunk }
  | { readonly _tag: "Ack"; readonly seq: Cursor }
  | { readonly _tag: "TakePushes"; readonly pushes: ReturnType<Router["takePushes"]> }
  | { readonly _tag: "TakeShelf"; readonly shelf: Shelf | undefined }
  | { readonly _tag: "Shelved"; readonly shelf: Shelf }
  | { readonly _tag: "Nack" | "Pass" }

export type SessionCall =
  | { readonly _tag: "Take"; readonly outputs: ReadonlyArray<Output> }
  | { readonly _tag: "Page"; readonly page: Page }
  | { readonly _tag: "Ack"; readonly seq: Cursor; readonly isGood: boolean }
  | { readonly _tag: "PageFailed" | "Push" | "Mail" | "Drain" | "Tick" }

export interface CoreWatcher {
  router(router: Router, call: RouterCall): void
  session(session: Session, call: SessionCall): void
}

/** Runs something that ends before it answers, and tells the watcher of each call of a core meanwhile. */
export const watching = <A>(watcher: CoreWatcher, run: () => A): A => {
  const ofRouter = watchRouters(watcher)
  const ofSession = watchSessions(watcher)
  try {
    return run()
  } finally {
    Object.assign(Router.prototype, ofRouter)
    Object.assign(Session.prototype, ofSession)
  }
}

/** Answers the methods as they were. */
const watchRouters = (watcher: CoreWatcher) => {
  const { ack, chunk, nack, pass, shelved, takePushes, takeShelf } = Router.prototype
  Object.assign(Router.prototype, {
    chunk(this: Router, given: Chunk) {
      chunk.call(this, given)
      watcher.router(this, { _tag: "Chunk", chunk: given })
    },
    ack(this: Router, ...[clientId, seq]: Parameters<typeof ack>) {
      ack.call(this, clientId, seq)
      watcher.router(this, { _tag: "Ack", seq })
    },
    nack(this: Router, ...given: Parameters<typeof nack>) {
      nack.call(this, ...given)
      watcher.router(this, { _tag: "Nack" })
    },
    pass(this: Router) {
      pass.call(this)
      watcher.router(this, { _tag: "Pass" })
    },
    takePushes(this: Router) {
      const pushes = takePushes.call(this)
      watcher.router(this, { _tag: "TakePushes", pushes })
      return pushes
    },
    takeShelf(this: Router, records: number) {
      const shelf = takeShelf.call(this, records)
      watcher.router(this, { _tag: "TakeShelf", shelf })
      return shelf
    },
    shelved(this: Router, shelf: Shelf) {
      shelved.call(this, shelf)
      watcher.router(this, { _tag: "Shelved", shelf })
    },
  } satisfies Partial<Router>)
  return { ack, chunk, nack, pass, shelved, takePushes, takeShelf }
}

const watchSessions = (watcher: CoreWatcher) => {
  const { ack, drain, mail, page, pageFailed, push, take, tick } = Session.prototype
  Object.assign(Session.prototype, {
    take(this: Session) {
      const outputs = take.call(this)
      watcher.session(this, { _tag: "Take", outputs })
      return outputs
    },
    page(this: Session, given: Page) {
      page.call(this, given)
      watcher.session(this, { _tag: "Page", page: given })
    },
    ack(this: Session, seq: Parameters<typeof ack>[0]) {
      const isGood = ack.call(this, seq)
      watcher.session(this, { _tag: "Ack", seq, isGood })
      return isGood
    },
    pageFailed(this: Session) {
      pageFailed.call(this)
      watcher.session(this, { _tag: "PageFailed" })
    },
    push(this: Session, given: Parameters<typeof push>[0]) {
      push.call(this, given)
      watcher.session(this, { _tag: "Push" })
    },
    mail(this: Session) {
      mail.call(this)
      watcher.session(this, { _tag: "Mail" })
    },
    drain(this: Session) {
      drain.call(this)
      watcher.session(this, { _tag: "Drain" })
    },
    tick(this: Session) {
      tick.call(this)
      watcher.session(this, { _tag: "Tick" })
    },
  } satisfies Partial<Session>)
  return { ack, drain, mail, page, pageFailed, push, take, tick }
}
