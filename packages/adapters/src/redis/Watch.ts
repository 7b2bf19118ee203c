/**
 * Redis while a process runs: what an operator changes, and whether it still takes writes.
 *
 * | what | how it is found | what it is |
 * | --- | --- | --- |
 * | `maxmemory-policy` is not `noeviction` any more | asked every `watch_every_ms` | an alarm: what is there may be thrown away |
 * | full | a script that may write is refused: at the next look, and at once where a command met it | an alarm, and not ready |
 * | a replica, or a master that must not write (disk, too few replicas) | the same | an alarm, and not ready |
 *
 * All of these are over on their own when a look finds them put right. Redis away is an outage, which passes.
 */
import { Alarms } from "@nimbus/domain/services"
import { Effect, Latch, Schedule, type Scope } from "effect"
import { RedisEvicts, RedisFull, RedisReadOnly, type RedisUnavailable } from "../Errors.ts"
import type { RedisLimits } from "../Limits.ts"
import { script } from "./Script.ts"

/** What is asked of a server that has keys of ours. */
export interface Server {
  readonly policy: Effect.Effect<string, RedisUnavailable>
  /** Writes nothing, and is refused where nothing may be written. */
  readonly mayWrite: Effect.Effect<void, RedisUnavailable>
}

/** As Redis judges a script by its flags before it runs it. */
export const mayWriteScript = script("return 1")

export interface Watch {
  /** A command failed: where it was refused as a write, somebody looks now. */
  readonly failed: (error: RedisUnavailable) => void
}

/** Looks for as long as the scope lives. `servers` may be others each time. */
export const watch = Effect.fnUntraced(function* (
  address: string,
  servers: () => ReadonlyArray<Server>,
  limits: RedisLimits,
): Effect.fn.Return<Watch, never, Scope.Scope> {
  const doubt = Latch.makeUnsafe()
  yield* Effect.raceFirst(Effect.sleep(limits.watch_every_ms), doubt.await).pipe(
    Effect.andThen(
      Effect.suspend(() => {
        doubt.closeUnsafe()
        return look(address, servers())
      }),
    ),
    // Not more often, however many commands fail.
    Effect.andThen(Effect.sleep(limits.watch_pause_ms)),
    Effect.repeat(Schedule.forever),
    Effect.forkScoped,
  )
  return {
    failed: (error) => {
      if (refusalOf(address, error) !== undefined) doubt.openUnsafe()
    },
  }
})

/** Why Redis does not take a write; `undefined`: for another reason, or it is away. */
export const refusalOf = (address: string, error: RedisUnavailable): RedisFull | RedisReadOnly | undefined => {
  const reason = error.message
  if (isFull(error)) return new RedisFull({ address })
  return /^(READONLY|MISCONF|NOREPLICAS) /.test(reason) ? new RedisReadOnly({ address, reason }) : undefined
}

/** Redis has no memory left for what was asked of it. */
export const isFull = ({ message }: RedisUnavailable): boolean => message.startsWith("OOM ")

/** What every server answers; one that is away says nothing about what was found before. */
const look = Effect.fnUntraced(function* (address: string, servers: ReadonlyArray<Server>): Effect.fn.Return<void> {
  const alarms = yield* Alarms
  const policies = yield* Effect.forEach(servers, ({ policy }) => Effect.option(policy))
  const evicting = policies.find((policy) => policy._tag === "Some" && policy.value !== "noeviction")
  const evicts = new RedisEvicts({ address, policy: evicting?._tag === "Some" ? evicting.value : "" })
  if (evicting !== undefined) yield* alarms.raise(address, evicts, { blocks: false })
  else if (policies.every(({ _tag }) => _tag === "Some")) yield* alarms.clear(address, evicts.code)

  const writes = yield* Effect.forEach(servers, ({ mayWrite }) => Effect.result(mayWrite))
  const failures = writes.flatMap((write) => (write._tag === "Failure" ? [write.failure] : []))
  const refusals = failures.flatMap((error) => refusalOf(address, error) ?? [])
  for (const refusal of refusals) yield* alarms.raise(address, refusal, { blocks: true })
  if (failures.length > refusals.length) return
  for (const code of [new RedisFull({ address }).code, new RedisReadOnly({ address, reason: "" }).code]) {
    if (!refusals.some((refusal) => refusal.code === code)) yield* alarms.clear(address, code)
  }
})
