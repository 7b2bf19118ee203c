/**
 * What can be seen of a world from outside, one small action after another, in the words of docs/protocol.md: the
 * material for holding a run against the specification in `model/`. To observe changes nothing.
 *
 * Of one client: what concerns several is told without saying whom.
 */
import type { ClientId, Cursor, Epoch, PodId, RouteId, Seq, Status } from "@nimbus/domain/protocol"

export type Observation =
  /** The events topic has an event, or a barrier. */
  | { readonly _tag: "Sends"; readonly seq: Seq }
  | {
      readonly _tag: "BarrierSent"
      readonly seq: Seq
      readonly pod: PodId
      readonly epoch: Epoch
      readonly number: number
    }
  /** The results topic has what became of it. */
  | { readonly _tag: "Handles"; readonly seq: Seq }
  /** A router reads a record, and pushes it or not. */
  | { readonly _tag: "Reads"; readonly worker: string; readonly seq: Seq; readonly isPushed: boolean }
  | { readonly _tag: "Diverts"; readonly worker: string }
  /** Records for the backlog, by seq; of a barrier also the route that it made. */
  | ({ readonly _tag: "TakesShelf" } & Spilled)
  | ({ readonly _tag: "Appends" } & Spilled)
  | { readonly _tag: "Confirmed"; readonly worker: string; readonly seqs: ReadonlyArray<Seq> }
  | { readonly _tag: "Hears"; readonly worker: string; readonly seq: Cursor }
  | { readonly _tag: "Commits"; readonly worker: string; readonly offset: number }
  | { readonly _tag: "TakesOver"; readonly worker: string; readonly workers: ReadonlyArray<string> }
  | { readonly _tag: "ReturnsOwn" | "ReturnsCommit"; readonly worker: string }
  /** The mailbox store. */
  | { readonly _tag: "Puts"; readonly seq: Seq }
  | { readonly _tag: "Trims"; readonly seq: Cursor }
  | { readonly _tag: "BacksUpMailbox" | "RollsMailboxBack" }
  /** The registry. `clock`: what the epoch must not be below. */
  | { readonly _tag: "Registers"; readonly pod: PodId; readonly epoch: Epoch; readonly isRefused: boolean }
  | { readonly _tag: "BacksUpRegistry" | "RollsRegistryBack" | "WipesRegistry" }
  | { readonly _tag: "Connects"; readonly pod: PodId; readonly clock: Epoch; readonly epoch: Epoch }
  /** A session, by its pod, which has at most one of the client. */
  | { readonly _tag: "Opens"; readonly pod: PodId; readonly epoch: Epoch }
  | { readonly _tag: "ReadsPage"; readonly pod: PodId; readonly seqs: ReadonlyArray<Seq>; readonly after: Cursor }
  /** Its first: it was opened with the client's own `after`. */
  | { readonly _tag: "GetsPage"; readonly pod: PodId; readonly after: Cursor }
  | { readonly _tag: "EndsPage"; readonly pod: PodId }
  | { readonly _tag: "Delivers" | "PassesBarrier"; readonly pod: PodId; readonly seq: Seq }
  | { readonly _tag: "HearsClient"; readonly pod: PodId; readonly seq: Seq }
  | { readonly _tag: "PassesOn"; readonly seq: Cursor }
  | { readonly _tag: "Is"; readonly pod: PodId; readonly status: Status.StatusName }
  | { readonly _tag: "Closes" | "CrashesPod"; readonly pod: PodId }
  /** The client. */
  | { readonly _tag: "Shows"; readonly seq: Seq }
  | { readonly _tag: "LosesSocket"; readonly clientId: ClientId }

interface Spilled {
  readonly worker: string
  readonly seqs: ReadonlyArray<Seq>
  readonly routes: ReadonlyArray<RouteId | undefined>
}

export type Observe = (observation: Observation) => void

export const unobserved: Observe = () => {}
