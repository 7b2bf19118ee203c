/** What stands in the world's topics: events and barriers as facts, results in the production encoding. */
import {
  type ClientId,
  encodePlacedBarrier,
  encodeResult,
  type Epoch,
  EventId,
  type PodId,
  type Seq,
} from "@nimbus/domain/protocol"

/** An entry of the events topic: the client's `n`th event, from 1, or a barrier. */
export type Fact =
  | { readonly _tag: "Event"; readonly n: number }
  | { readonly _tag: "Barrier"; readonly epoch: Epoch; readonly pod: PodId; readonly number: number }

export interface BarrierOf {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  readonly number: number
}

const decoder = new TextDecoder()

/** The result of the `n`th event. A handler that runs again may end otherwise: here it says whose worker it is. */
export const resultOf = (seq: Seq, n: number, worker: string): Uint8Array =>
  encodeResult({ seq, id: EventId.make(worker), name: "echo", data: n })

/** What becomes of a fact in the results topic. */
export const outcomeOf = (seq: Seq, fact: Fact, worker: string): Uint8Array =>
  fact._tag === "Event" ? resultOf(seq, fact.n, worker) : encodePlacedBarrier(seq, fact)

/** Which event's result this is. */
export const numberOf = (value: Uint8Array): number => JSON.parse(decoder.decode(value)).data
