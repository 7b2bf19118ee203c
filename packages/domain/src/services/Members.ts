/**
 * The processes of an installation, for operators: each says again and again who it is, where it runs and what it does,
 * and is forgotten soon after it stops to. Nothing is decided by it: which gateway holds a client is the registry's.
 *
 * Contract, checked by `membersSuite` of `@nimbus/domain/testing`: a member is there from its first `announce` until
 * its time is over or it withdraws, and once, however often it says so.
 */
import { Clock, Context, Effect, Layer, Schedule, Schema, type Scope } from "effect"
import type { RegistryUnavailable } from "../Errors.ts"
import { PodId } from "../protocol/Ids.ts"
import { memberLimits } from "../Limits.ts"
import { failureReporter } from "./FailureLog.ts"

/** What a process says of itself. */
export const Member = Schema.Struct({
  /** Of a gateway, its pod. */
  id: PodId,
  /** The name of the machine or container. */
  host: Schema.String,
  /** Where its HTTP port is. */
  address: Schema.String,
  /** "gateway", or what a pipeline process does. */
  role: Schema.String,
})
export type Member = typeof Member.Type

/** The processes of a cluster that are there now. Each says so again before its time is over. */
export class Members extends Context.Service<
  Members,
  {
    /** The member is there for so long. */
    announce(member: Member, ttl_ms: number): Effect.Effect<void, RegistryUnavailable>
    withdraw(member: Member): Effect.Effect<void, RegistryUnavailable>
    /** In no order. */
    readonly all: Effect.Effect<ReadonlyArray<Member>, RegistryUnavailable>
  }
>()("@nimbus/domain/Members") {
  /** For one process. */
  static readonly layerMemory = Layer.sync(Members, () => {
    const members = new Map<PodId, { readonly member: Member; readonly until_ms: number }>()
    return Members.of({
      announce: (member, ttl_ms) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now_ms) => void members.set(member.id, { member, until_ms: now_ms + ttl_ms }),
        ),
      withdraw: ({ id }) => Effect.sync(() => void members.delete(id)),
      all: Effect.map(Clock.currentTimeMillis, (now_ms) => {
        for (const [id, { until_ms }] of members) if (until_ms <= now_ms) members.delete(id)
        return Array.from(members.values(), ({ member }) => member)
      }),
    })
  })
}

/** Is a member for as long as the scope lives. That it can't be said costs nothing but that operators do not see it. */
export const beMember = (member: Member): Effect.Effect<void, never, Members | Scope.Scope> =>
  Effect.gen(function* () {
    const members = yield* Members
    const outage = yield* failureReporter("announcing this process")
    yield* Effect.addFinalizer(() => Effect.ignore(members.withdraw(member)))
    yield* Effect.matchEffect(members.announce(member, memberLimits.member_ttl_ms), {
      onSuccess: () => outage.worked,
      onFailure: outage.failed,
    }).pipe(Effect.repeat(Schedule.spaced(memberLimits.member_every_ms)), Effect.forkScoped)
  })

/** An address that others reach: a server that listens on all of its addresses is at its host's. */
export const reachableAt = (address: string, host: string): string =>
  address.replace(/^\w+:\/\//, "").replace(/^(0\.0\.0\.0|\[::\])(?=:)/, host)
