/**
 * How shells step the protocol's cores: as they are, or as somebody has wrapped them who looks on. Whoever wraps a step
 * takes it with the same state and input, and hands over the same outputs.
 */
import { Context } from "effect"
import * as DirectSession from "./DirectSession.ts"
import * as Feed from "./Feed.ts"
import * as Router from "./Router.ts"
import * as Session from "./Session.ts"

/** A core's step: what comes in, what is to be done. */
export type Step<State, Input, Output> = (state: State, input: Input, out?: Array<Output>) => ReadonlyArray<Output>

/** The step of each core. */
export interface StepsShape {
  readonly session: Step<Session.State, Session.Input, Session.Output>
  readonly directSession: Step<DirectSession.State, DirectSession.Input, DirectSession.Output>
  readonly router: Step<Router.State, Router.Input, Router.Output>
  readonly feed: Step<Feed.State, Feed.Input, Feed.Output>
}

/** The cores' own. */
export const unwatched: StepsShape = {
  session: Session.step,
  directSession: DirectSession.step,
  router: Router.step,
  feed: Feed.step,
}

/** The steps that shells take. Default: the cores' own. */
export const Steps = Context.Reference<StepsShape>("@nimbus/domain/Steps", { defaultValue: () => unwatched })
