/**
 * Checks whether the pure machine explains the replies to concurrent calls of a registry: run one after another in some
 * order, the calls for the entry of each client give these replies and lead to this status. An order is allowed only if
 * no call comes before one that had ended when it began (linearizability, checked by the search of Wing and Gong).
 *
 * A chunk is not one step, but one for each of its presences. Each client is therefore checked alone.
 */
import { Effect, Result, Schema, Stream } from "effect"
import { ClientId, Epoch, Owner, PodId } from "../protocol/Ids.ts"
import { Registry } from "../services/Registry.ts"
import { encode, type Status, StatusName, type Step, transition } from "../protocol/Status.ts"

const clients = ["a", "b"] as const
const Client = Schema.Literals(clients)
const Pod = Schema.Literals(["p", "q"])
const OneOwner = Schema.UndefinedOr(Schema.Literals(["x", "y"]))
const smallEpoch = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8 }))

/** A call, with few names and low epochs, so that calls interfere. */
export const Call = Schema.TaggedUnion({
  Connect: { client: Client, pod: Pod, atLeast: smallEpoch, owner: OneOwner, gone: Schema.optionalKey(Pod) },
  Write: {
    presences: Schema.Array(
      Schema.Struct({ client: Client, pod: Pod, epoch: smallEpoch, status: StatusName, owner: OneOwner }),
    ).check(Schema.isMaxLength(3)),
  },
  Pods: {},
})
export type Call = typeof Call.Type

/**
 * Runs calls, those of one caller in sequence and the callers concurrently, and checks whether the machine explains
 * them.
 */
export const isExplained = Effect.fnUntraced(function* (callers: ReadonlyArray<ReadonlyArray<Call>>, run: string) {
  const caller = yield* makeCaller(run)
  const seen = yield* Effect.forEach(
    callers,
    (calls) => Effect.map(Effect.forEach(calls, caller), (all) => all.flat()),
    {
      concurrency: "unbounded",
    },
  )
  const left = yield* statuses(run)
  return clients.every((client) =>
    explains(
      seen.map((steps) => steps.filter((step) => step.client === client)),
      left.get(client),
    ),
  )
})

/**
 * The observation of a caller of one entry: the call took place between two moments, and the reply fits only some
 * statuses.
 */
interface Seen {
  readonly client: string
  readonly began: number
  readonly ended: number
  /** The status after the call if it was `from` before; none if the reply does not fit. */
  readonly after: (from: Status | undefined) => { readonly status: Status | undefined } | undefined
}

const ownedBy = (owner: string) => ({ owner: Owner.make(owner) })
const clientId = (run: string, client: string) => ClientId.make(`${run}:${client}`)
const podId = (run: string, pod: string) => PodId.make(`${run}:${pod}`)

const makeCaller = Effect.fnUntraced(function* (run: string) {
  const registry = yield* Registry
  let moment = 0
  return Effect.fnUntraced(function* (call: Call) {
    const began = moment++
    const fits = yield* perform(registry, call, run)
    const ended = moment++
    return fits.map(({ after, client }): Seen => ({ client, began, ended, after }))
  })
})

const perform = (registry: Registry["Service"], call: Call, run: string) =>
  Call.match(call, {
    Connect: ({ atLeast, client, gone, owner, pod }) => {
      const by = owner === undefined ? undefined : { ...ownedBy(owner), ...(gone && { gone: podId(run, gone) }) }
      const place = { pod: podId(run, pod), atLeast: Epoch.make(atLeast) }
      const step: Step = { _tag: "Connect", ...place, ...by }
      return registry.connect(clientId(run, client), place.pod, place.atLeast, by).pipe(
        Effect.map((epoch) => [{ client, after: moved(step, (status) => status?.epoch === epoch) }]),
        Effect.catchTag("ClientInUse", ({ pod }) =>
          Effect.succeed([
            {
              client,
              after: (from: Status | undefined) => (from?.pod === pod ? refused(step)(from) : undefined),
            },
          ]),
        ),
      )
    },
    Write: ({ presences }) => {
      const said = presences.map(({ client, epoch, owner, pod, status }) => ({
        client,
        step: {
          epoch: Epoch.make(epoch),
          pod: podId(run, pod),
          status,
          ...(owner !== undefined && ownedBy(owner)),
        },
      }))
      const chunk = said.map(({ client, step }) => ({ clientId: clientId(run, client), ...step }))
      return Effect.map(registry.write(chunk), (held) =>
        said.map(({ client, step }, i) => ({
          client,
          after: held[i] ? moved({ _tag: "Sweep", ...step }, () => true) : refused({ _tag: "Sweep", ...step }),
        })),
      )
    },
    Pods: () =>
      Effect.map(registry.pods(clients.map((client) => clientId(run, client))), (pods) =>
        clients.map((client, i) => ({
          client,
          after: (from: Status | undefined) =>
            (from === undefined || from._tag === "OFFLINE" ? undefined : from.pod) === pods[i]
              ? { status: from }
              : undefined,
        })),
      ),
  })

const moved =
  (step: Step, fits: (to: Status | undefined) => boolean): Seen["after"] =>
  (from) => {
    const to = transition(from, step)
    return Result.isSuccess(to) && fits(to.success) ? { status: to.success } : undefined
  }

const refused =
  (step: Step): Seen["after"] =>
  (from) =>
    Result.isFailure(transition(from, step)) ? { status: from } : undefined

const statuses = Effect.fnUntraced(function* (run: string) {
  const entries = yield* Stream.runCollect((yield* Registry).entries)
  const prefix = `${run}:`
  return new Map(
    entries.flatMap(({ clientId, status }) =>
      clientId.startsWith(prefix) ? [[clientId.slice(prefix.length), status]] : [],
    ),
  )
})

/** Searches for an order, depth first. A position with the same status is searched once. */
const explains = (callers: ReadonlyArray<ReadonlyArray<Seen>>, left: Status | undefined): boolean => {
  const key = (status: Status | undefined) => (status === undefined ? "" : encode(status))
  const visited = new Set<string>()
  const search = (at: ReadonlyArray<number>, status: Status | undefined): boolean => {
    const position = `${at.join()} ${key(status)}`
    if (visited.has(position)) return false
    visited.add(position)
    const heads = callers.map((steps, i) => steps[at[i]!])
    if (heads.every((head) => head === undefined)) return key(status) === key(left)
    const firstEnd = Math.min(...heads.map((head) => head?.ended ?? Infinity))
    return heads.some((head, i) => {
      const next = head !== undefined && head.began <= firstEnd ? head.after(status) : undefined
      return next !== undefined && search(at.with(i, at[i]! + 1), next.status)
    })
  }
  return search(
    callers.map(() => 0),
    undefined,
  )
}
