/**
 * Whether a gateway may listen where it is to listen.
 *
 * | | with locks | without |
 * | --- | --- | --- |
 * | a loopback address | yes | yes: only this machine reaches it |
 * | any other | yes | no, unless `NIMBUS_INSECURE` says so: then there is an alarm for as long as it listens |
 *
 * Listeners that have health and metrics alone are not held to this.
 */
import { Alarms, Authenticator } from "@nimbus/domain/services"
import { Config, Effect, Layer, Option } from "effect"
import { NoLocks } from "../Errors.ts"
import { isLoopback } from "../http/Admission.ts"

/** Where it is to listen. */
export interface ExposureOptions {
  readonly hosts: ReadonlyArray<string>
  /** Whether it may be open to everybody who reaches it. Default: no. */
  readonly insecure?: boolean | undefined
}

/** `NIMBUS_INSECURE`. */
export const insecureConfig = Config.Boolean("NIMBUS_INSECURE").pipe(Config.withDefault(false))

/** The first address that is open to others without locks; fails where it may not be. */
export const check = Effect.fnUntraced(function* ({ hosts, insecure = false }: ExposureOptions) {
  const open = hosts.find((host) => !isLoopback(host))
  if (open === undefined || Option.isSome(yield* Effect.serviceOption(Authenticator))) return undefined
  if (!insecure) return yield* new NoLocks({ host: open })
  return open
})

/** Listens on nothing that it may not. */
export const layerWith = (options: ExposureOptions) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const open = yield* check(options)
      if (open === undefined) return
      const alarms = yield* Alarms
      const message = `there are no locks, and this gateway listens on ${open}: everybody who reaches it may do everything (NIMBUS_INSECURE)`
      yield* Effect.acquireRelease(
        alarms.raise(open, { code: "NO_LOCKS", message }, { blocks: false, level: "Warn" }),
        () => alarms.clear(open, "NO_LOCKS"),
      )
    }),
  )
