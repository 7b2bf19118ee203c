/**
 * TLS of a gateway, where it has one: the same certificate at both ports. Its files are looked at every
 * `certificate_check_ms`, and counted from then on; no restart is needed.
 *
 * ```
 *   files ──▶ read ──▶ another digest ──▶ all doors renewed
 *               │
 *               └──▶ unusable, twice in a row ──▶ alarm TLS_UNUSABLE, and the last usable ones go on
 * ```
 *
 * Twice, because whoever writes two files one after the other has, for a moment, two that do not belong together.
 */
import { Alarms } from "@nimbus/domain/services"
import { Context, Effect, Layer, Metric, Schedule } from "effect"
import type { TlsUnusable } from "../Errors.ts"
import { Limits } from "../Limits.ts"
import { Door, type DoorOptions } from "./Door.ts"
import { read } from "./Material.ts"

const expires = Metric.gauge("nimbus_tls_certificate_expires_seconds", {
  description: "When the certificate of the ports ends, in seconds since 1970",
})

/** In a gateway with TLS. */
export class Tls extends Context.Service<
  Tls,
  {
    /** The door of a port, for as long as the gateway lives. */
    door(options: DoorOptions): Door
  }
>()("@nimbus/gateway/Tls") {
  /** With the files of this directory. */
  static readonly layerWith = (directory: string): Layer.Layer<Tls, TlsUnusable, Limits> =>
    Layer.effect(Tls, make(directory))
}

const make = Effect.fnUntraced(function* (directory: string) {
  const { certificate_check_ms, handshake_ms } = yield* Limits
  const alarms = yield* Alarms
  const doors: Array<Door> = []
  let material = yield* read(directory)
  yield* Metric.update(expires, material.expires_s)
  let slips = 0

  const look = Effect.gen(function* () {
    const next = yield* read(directory)
    slips = 0
    yield* alarms.clear(directory, "TLS_UNUSABLE")
    if (next.digest === material.digest) return
    material = next
    for (const door of doors) door.renew(next)
    yield* Metric.update(expires, next.expires_s)
    const until = new Date(next.expires_s * 1000).toISOString()
    yield* Effect.logInfo(`the certificate in ${directory} has changed: the new one is valid until ${until}`)
  }).pipe(
    Effect.catch((error) =>
      ++slips < 2
        ? Effect.void
        : alarms.raise(directory, { code: error.code, message: error.message }, { blocks: false }),
    ),
  )
  yield* look.pipe(
    Effect.schedule(Schedule.spaced(certificate_check_ms)),
    Effect.ensuring(alarms.clear(directory, "TLS_UNUSABLE")),
    Effect.forkScoped,
  )
  return Tls.of({
    door: (options) => {
      const door = new Door(options, handshake_ms, material)
      doors.push(door)
      return door
    },
  })
})
