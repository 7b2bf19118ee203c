/** The offsets of direct delivery in memory: for tests and for embedding. A restart forgets them, as it may. */
import { Effect, Layer } from "effect"
import { type ClientOffset, ClientOffsets, type OffsetOwner } from "./ClientOffsets.ts"
import type { ClientId } from "../protocol/Ids.ts"
import { type ClientOffsetsLimits, clientOffsetsLimits } from "../Limits.ts"

type Entry = Omit<OffsetOwner, "clientId"> & { readonly known: ClientOffset | undefined }

/** The service, and a way to make it forget. */
export interface ClientOffsetsMemory {
  readonly offsets: ClientOffsets["Service"]
  /** Forgets one client, or all. */
  readonly forget: (clientId?: ClientId) => void
}

/** Offsets that live as long as the layer. Holds at most `offsets` clients; beyond, the oldest are forgotten. */
export const layerMemory = (limits: ClientOffsetsLimits = clientOffsetsLimits): Layer.Layer<ClientOffsets> =>
  Layer.sync(ClientOffsets, () => makeMemory(limits).offsets)

/** The same as a value. */
export const makeMemory = (limits: ClientOffsetsLimits = clientOffsetsLimits): ClientOffsetsMemory => {
  const entries = new Map<ClientId, Entry>()
  /** What was written last stands last. */
  const put = (clientId: ClientId, entry: Entry): void => {
    entries.delete(clientId)
    entries.set(clientId, entry)
    if (entries.size <= limits.offsets) return
    for (const oldest of entries.keys()) return void entries.delete(oldest)
  }
  const load = ({ clientId, epoch, log }: OffsetOwner): ClientOffset | undefined => {
    const stored = ofLog(entries.get(clientId), log)
    put(clientId, { log, epoch: higher(epoch, stored?.epoch), known: stored?.known })
    return stored?.known
  }
  const save = ({ clientId, epoch, log, offset, seq }: OffsetOwner & ClientOffset): boolean => {
    const stored = ofLog(entries.get(clientId), log)
    const known = { offset: higher(offset, stored?.known?.offset), seq: higher(seq, stored?.known?.seq) }
    put(clientId, { log, epoch: higher(epoch, stored?.epoch), known })
    return stored === undefined || stored.epoch <= epoch
  }
  return {
    forget: (clientId) => void (clientId === undefined ? entries.clear() : entries.delete(clientId)),
    offsets: ClientOffsets.of({
      load: (owner) => Effect.sync(() => load(owner)),
      save: (facts) => Effect.sync(() => facts.map(save)),
    }),
  }
}

const ofLog = (entry: Entry | undefined, log: OffsetOwner["log"]): Entry | undefined =>
  entry?.log === log ? entry : undefined

const higher = <A extends number>(a: A, b: A | undefined): A => (b === undefined || a >= b ? a : b)
