/**
 * Watches Redis while a process runs: the settings that an operator may change, and whether it accepts writes.
 *
 * | fault | how it is detected | effect |
 * | --- | --- | --- |
 * | `maxmemory-policy` is not `noeviction` any more | read every `watch_every_ms` | an alarm: Redis may evict keys |
 * | full | Redis refuses a script that may write: at the next check, or immediately after a refused command | an alarm, and not ready |
 * | a replica, or a master that must not write (disk, too few replicas) | the same | an alarm, and not ready |
 *
 * Each of these ends when a check finds it fixed. An unavailable Redis is not among them: it is an outage, which
 * passes.
 */
import { Alarms } from "@nimbus/domain/services"
import { Effect, Latch, Schedule, type Scope } from "effect"
import { RedisEvicts, RedisFull, RedisReadOnly, type RedisUnavailable } from "../Errors.ts"
import type { RedisLimits } from "../Limits.ts"
import { script } from "./Script.ts"

/** The commands that check a server with keys of this installation. */
export interface Server {
  readonly policy: Effect.Effect<string, RedisUnavailable>
  /** A script that writes nothing, and is refused if writes are refused. */
  readonly mayWrite: Effect.Effect<void, RedisUnavailable>
}

/** Redis checks the flags of a script before it runs it. */
export const mayWriteScript = script("return 1")

export interface Watch {
  /** A command failed. If it was refused as a write, this triggers a check. */
  readonly failed: (error: RedisUnavailable) => void
}

/** Checks until the scope closes. `servers` may return other servers each time. */
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
    // Not more often than this, even if many commands fail.
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

/** Why Redis refuses a write. `undefined`: for another reason, or it is unavailable. */
export const refusalOf = (address: string, error: RedisUnavailable): RedisFull | RedisReadOnly | undefined => {
  const reason = error.message
  if (isFull(error)) return new RedisFull({ address })
  return /^(READONLY|MISCONF|NOREPLICAS) /.test(reason) ? new RedisReadOnly({ address, reason }) : undefined
}

/** Redis has no memory left for the command. */
export const isFull = ({ message }: RedisUnavailable): boolean => message.startsWith("OOM ")

/** The replies of all servers. An unavailable server does not change what was found before. */
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
