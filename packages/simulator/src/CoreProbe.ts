/**
 * Sees every step of the protocol's cores, whoever makes it: for what is checked and observed
 * of production shells, which keep their cores to themselves. To watch changes nothing.
 */
import { DirectSession, Feed, Router, Session, type Step, type StepsShape, unwatched } from "@nimbus/domain/protocol"

/** Told of a step that is done. */
export interface CoreProbe {
  router(router: Router.State, input: Router.Input, outputs: ReadonlyArray<Router.Output>): void
  session(session: Session.State, input: Session.Input, outputs: ReadonlyArray<Session.Output>): void
  directSession?(session: DirectSession.State): void
  feed?(feed: Feed.State): void
}

/** The steps of the cores, with somebody who looks on. */
export const watched = (probe: CoreProbe): StepsShape => ({
  ...unwatched,
  router: routerBy(probe),
  session: sessionBy(probe),
  directSession: (state, input, out = []) => {
    DirectSession.step(state, input, out)
    probe.directSession?.(state)
    return out
  },
  feed: (state, input, out = []) => {
    Feed.step(state, input, out)
    probe.feed?.(state)
    return out
  },
})

const routerBy =
  (probe: CoreProbe): Step<Router.State, Router.Input, Router.Output> =>
  (state, input, out = []) => {
    const before = out.length
    Router.step(state, input, out)
    probe.router(state, input, out.slice(before))
    return out
  }

/** Deliveries may be added to an output that is there. */
const sessionBy =
  (probe: CoreProbe): Step<Session.State, Session.Input, Session.Output> =>
  (state, input, out = []) => {
    const before = out.length
    const last = out.at(-1)
    const items = last?._tag === "Deliver" ? last.items.length : 0
    Session.step(state, input, out)
    const own = out.slice(before)
    if (last?._tag === "Deliver" && last.items.length > items) own.unshift({ ...last, items: last.items.slice(items) })
    probe.session(state, input, own)
    return out
  }
