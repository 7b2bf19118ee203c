/**
 * The status of a client: OFFLINE, REPLAYING, LIVE.
 *
 * ```
 *    UNKNOWN      OFFLINE     REPLAYING      LIVE
 *       ○────────────○────────────◉────────────○      Connect
 *                                 ○────────────●      GoLive
 *                                 ●────────────○      FallBack
 *                    ●────────────○────────────○      Disconnect
 *                    ◉────────────○────────────○      LeaseExpired
 *       ○────────────◉────────────◉────────────◉      Sweep
 * ```
 * ○ may start there, ● ends there, ◉ both; `npm run docs` draws it from `arrows`.
 *
 * Payload: the epoch, which is one connection, and the pod that holds it. Steps come from gateways through the
 * registry, late, repeated and out of order.
 *
 * A session walks the arrows. The registry, which may have been wiped or rolled back meanwhile, takes `Connect` and
 * `Sweep`: a session saying again what it is.
 *
 * Invariants:
 * 1. The epoch never falls, and `Connect` always raises it.
 * 2. A step of an older epoch, or of another pod's session with the same epoch, changes nothing and says so
 *    (`superseded`): a registry that lost its last write may hand an epoch out twice, and then the last to connect wins.
 * 3. Only the same owner supersedes: while a session of another one is not OFFLINE, `Connect` changes nothing and says so
 *    (`in-use`), unless its pod is `gone`. Where one of the two has no owner there are no locks, and it supersedes.
 * 4. `GoLive`, `FallBack` and `Disconnect` move only the session they name, and only along an arrow.
 */
import { Result, Schema } from "effect"
import { CorruptRecord, IllegalTransition, NotAStep } from "../Errors.ts"
import { Epoch, epochUnsafe, Owner, ownerUnsafe, PodId, podIdUnsafe } from "./Ids.ts"

/** OFFLINE: not connected. REPLAYING: older results are being read from the mailbox. LIVE: there are none left. */
export const StatusName = Schema.Literals(["OFFLINE", "REPLAYING", "LIVE"])
export type StatusName = typeof StatusName.Type

/** Of whom, where there are locks. */
const owned = { owner: Schema.optionalKey(Owner) }
const session = { epoch: Epoch, pod: PodId, ...owned }

/** Was here at `epoch`, on `pod`; now away. A client never seen has no status at all. */
export const Offline = Schema.TaggedStruct("OFFLINE", session)
/** Connected; still reading its mailbox. */
export const Replaying = Schema.TaggedStruct("REPLAYING", session)
/** Connected, and everything older has been read. */
export const Live = Schema.TaggedStruct("LIVE", session)

/** A status with the session that it belongs to. */
export const Status = Schema.Union([Offline, Replaying, Live])
export type Status = typeof Status.Type

/** What may happen to a status. */
export const Step = Schema.TaggedUnion({
  /**
   * A new connection. `atLeast`: the clock in ms, so that epochs grow across a wiped registry too. `gone`: a pod that is
   * known to hold nobody any more.
   */
  Connect: { pod: PodId, atLeast: Epoch, gone: Schema.optionalKey(PodId), ...owned },
  /** The own barrier was read from the mailbox. */
  GoLive: session,
  /** A gap, a slow client, or a record in the mailbox. */
  FallBack: session,
  /** The socket is gone. */
  Disconnect: session,
  /** The pod's lease has run out. */
  LeaseExpired: { pod: PodId },
  /** A session says again what it is, whatever the registry knows. */
  Sweep: { ...session, status: StatusName },
})
export type Step = typeof Step.Type

const decodeStep = Schema.decodeUnknownResult(Step, { onExcessProperty: "error" })

/** Reads what anybody gives as a step. */
export const step = (value: unknown): Result.Result<Step, NotAStep> =>
  Result.mapError(decodeStep(value), (error) => new NotAStep({ reason: error.message }))

/** Where a client may be when a step comes. UNKNOWN: it was never seen, and has no status. */
export type Start = "UNKNOWN" | StatusName

interface Arrows {
  readonly from: ReadonlyArray<Start>
  readonly to: ReadonlyArray<StatusName>
}

const seen = StatusName.literals
const anywhere = ["UNKNOWN", ...seen] as const

/** Where each step may start and end: `scripts/statusDrawing.ts` draws this, and `transition` moves along it. */
export const arrows: Readonly<Record<Step["_tag"], Arrows>> = {
  Connect: { from: anywhere, to: ["REPLAYING"] },
  GoLive: { from: ["REPLAYING"], to: ["LIVE"] },
  FallBack: { from: ["LIVE"], to: ["REPLAYING"] },
  Disconnect: { from: ["REPLAYING", "LIVE"], to: ["OFFLINE"] },
  LeaseExpired: { from: seen, to: ["OFFLINE"] },
  Sweep: { from: anywhere, to: seen },
}

type Moved = Result.Result<Status | undefined, IllegalTransition>

/** One step, from `undefined` for a client never seen. */
export const transition = (from: Status | undefined, step: Step): Moved =>
  Step.match(step, {
    Connect: ({ atLeast, gone, owner, pod }): Moved => {
      if (from !== undefined && isInUse(from, { owner, gone })) return illegal(from, "Connect", "in-use")
      if (from?.epoch === Number.MAX_SAFE_INTEGER) return illegal(from, "Connect", "no-epoch-left")
      const epoch = from === undefined ? atLeast : Epoch.make(Math.max(from.epoch + 1, atLeast))
      return Result.succeed({ _tag: "REPLAYING", epoch, pod, ...ownedBy(owner) })
    },
    GoLive: (to): Moved => along(from, to, "LIVE"),
    FallBack: (to): Moved => along(from, to, "REPLAYING"),
    Disconnect: (to): Moved => along(from, to, "OFFLINE"),
    LeaseExpired: ({ pod }): Moved => Result.succeed(from?.pod === pod ? { ...from, _tag: "OFFLINE" } : from),
    Sweep: ({ epoch, owner, pod, status }): Moved =>
      from !== undefined && isSuperseded(from, { epoch, pod })
        ? illegal(from, "Sweep", "superseded")
        : Result.succeed({ _tag: status, epoch, pod, ...ownedBy(owner) }),
  })

type Session = { readonly epoch: Epoch; readonly pod: PodId }

const illegal = (from: Status | undefined, step: string, reason: IllegalTransition["reason"]): Moved =>
  Result.fail(new IllegalTransition({ from: from?._tag ?? "UNKNOWN", step, reason }))

type Along = Extract<Step, { readonly _tag: "GoLive" | "FallBack" | "Disconnect" }>

/** Invariant 4. */
const along = (from: Status | undefined, { _tag: step, epoch, pod }: Along, to: StatusName): Moved => {
  if (from !== undefined && isSuperseded(from, { epoch, pod })) return illegal(from, step, "superseded")
  if (from?.epoch !== epoch || !arrows[step].from.includes(from._tag)) return illegal(from, step, "no-such-arrow")
  return Result.succeed({ _tag: to, epoch, pod, ...ownedBy(from.owner) })
}

/** Invariant 3. */
const isInUse = (
  from: Status,
  { gone, owner }: { readonly owner: Owner | undefined; readonly gone: PodId | undefined },
): boolean =>
  from._tag !== "OFFLINE" &&
  from.owner !== undefined &&
  owner !== undefined &&
  from.owner !== owner &&
  from.pod !== gone

const ownedBy = (owner: Owner | undefined) => (owner === undefined ? {} : { owner })

/** Invariants 1 and 2: whether a newer session than `to` has been here. */
export const isSuperseded = (stored: Session, to: Session): boolean =>
  to.epoch < stored.epoch || (to.epoch === stored.epoch && to.pod !== stored.pod)

/** The status as everyone else should see it: a client whose pod's lease is gone is OFFLINE. */
export const seenWith = (status: Status, livePods: ReadonlySet<PodId>): StatusName =>
  livePods.has(status.pod) ? status._tag : "OFFLINE"

const stored = Schema.fromJsonString(Status)
const decodeStored = Schema.decodeResult(stored, { onExcessProperty: "error" })
const encodeStored = Schema.encodeSync(stored)

/** The stored form: one line of JSON. */
export const encode = (status: Status): string => encodeStored(status)

/** What `encode` writes, but for the longest epochs. */
const usual =
  /^\{"_tag":"(?:(OFFLINE)|(REPLAYING)|LIVE)","epoch":(0|[1-9]\d{0,14}),"pod":"([A-Za-z0-9._:-]{1,128})"(?:,"owner":"([A-Za-z0-9_-]{1,64})")?\}$/

/**
 * Reads the stored form. Anything else than what `encode` writes is a `CorruptRecord`, never a guess. What is usual is
 * recognised by hand, as the schema would (a property holds the two together): registries are read as a whole.
 */
export const decode = (text: string): Result.Result<Status, CorruptRecord> => {
  const [, offline, replaying, epoch, pod, owner] = usual.exec(text) ?? []
  if (epoch === undefined || pod === undefined) {
    return Result.mapError(decodeStored(text), (error) => new CorruptRecord({ reason: error.message }))
  }
  const _tag = offline !== undefined ? "OFFLINE" : replaying !== undefined ? "REPLAYING" : "LIVE"
  const of = owner === undefined ? {} : { owner: ownerUnsafe(owner) }
  return Result.succeed({ _tag, epoch: epochUnsafe(Number(epoch)), pod: podIdUnsafe(pod), ...of })
}
