/**
 * What an operator has to put right: a fault that does not pass on its own, as a setting of Kafka or Redis that loses
 * records. An alarm is seen in three places for as long as it lasts: a line of the log, which is repeated, the metric
 * `nimbus_alarm`, and `/readyz`: as what is missing where it keeps this process from serving, and otherwise as a warning.
 *
 * ```
 *   raise ─▶ lasts ─▶ raise again: the same alarm, told once in `alarm_again_ms`, and where its message is another
 *              ├─▶ clear ─▶ over, told
 *              └─▶ its time is over ─▶ over, told when somebody looks
 * ```
 *
 * What passes on its own is an outage: see FailureLog.ts.
 */
import { Clock, Context, Effect, Metric } from "effect"
import { type AlarmLimits, alarmLimits } from "../Limits.ts"

/** Which fault it is: its code is a row in docs/errors.md, and its message says what to do, in one line. */
export interface Fault {
  readonly code: string
  readonly message: string
}

/** How an alarm is raised. */
export interface AlarmOptions {
  /** Whether this process must not be sent clients or work meanwhile. */
  readonly blocks: boolean
  /** How long it lasts unless it is raised again. By default until it is cleared. */
  readonly lasts_ms?: number | undefined
  /** Of its lines in the log. Default: `Error`. */
  readonly level?: "Warn" | "Error" | undefined
}

export interface Alarms {
  /** `subject` tells alarms of one code apart: the topic, or the address. There are few of them. */
  raise(subject: string, fault: Fault, options: AlarmOptions): Effect.Effect<void>
  /** The fault is put right; nothing where there is none. */
  clear(subject: string, code: string): Effect.Effect<void>
  /** The messages of those that last and block. */
  readonly blocking: Effect.Effect<ReadonlyArray<string>>
  /** The messages of those that last and do not block. */
  readonly warnings: Effect.Effect<ReadonlyArray<string>>
}

const gauge = Metric.gauge("nimbus_alarm", { description: "Faults that last and that an operator must fix, by code" })

interface Alarm {
  readonly subject: string
  readonly blocks: boolean
  fault: Fault
  ends_ms: number
  told_ms: number
}

/** The alarms of a process. One that is raised again is logged at most every `alarm_again_ms`. */
export const makeAlarms = (limits: AlarmLimits): Alarms => {
  const alarms = new Map<string, Alarm>()
  const keyOf = (subject: string, code: string): string => `${code} ${subject}`
  const count = (code: string): Effect.Effect<void> => {
    let lasting = 0
    for (const { fault } of alarms.values()) if (fault.code === code) lasting++
    return Metric.update(Metric.withAttributes(gauge, { code }), lasting)
  }
  const clear = (subject: string, code: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const alarm = alarms.get(keyOf(subject, code))
      if (alarm === undefined) return Effect.void
      alarms.delete(keyOf(subject, code))
      const line = Effect.annotateLogs(Effect.logInfo(`over: ${alarm.fault.message}`), { code })
      return Effect.andThen(count(code), line)
    })
  const expire = Effect.flatMap(Clock.currentTimeMillis, (now_ms) =>
    Effect.forEach(
      [...alarms.values()].filter(({ ends_ms }) => ends_ms <= now_ms),
      ({ fault, subject }) => clear(subject, fault.code),
      { discard: true },
    ),
  )
  const raise: Alarms["raise"] = Effect.fnUntraced(function* (
    subject,
    fault,
    { blocks, lasts_ms = Infinity, level = "Error" },
  ) {
    const now_ms = yield* Clock.currentTimeMillis
    const key = keyOf(subject, fault.code)
    const known = alarms.get(key)
    const alarm = known ?? { subject, blocks, fault, ends_ms: 0, told_ms: -Infinity }
    const isNews = alarm.fault.message !== fault.message
    alarm.fault = fault
    alarm.ends_ms = now_ms + lasts_ms
    alarms.set(key, alarm)
    if (known === undefined) yield* count(fault.code)
    if (!isNews && now_ms - alarm.told_ms < limits.alarm_again_ms) return
    alarm.told_ms = now_ms
    yield* Effect.annotateLogs(Effect.logWithLevel(level)(fault.message), { code: fault.code })
  })
  const messages = (blocking: boolean) =>
    Effect.andThen(
      expire,
      Effect.sync(() =>
        [...alarms.values()].filter(({ blocks }) => blocks === blocking).map(({ fault }) => fault.message),
      ),
    )
  return { raise, clear, blocking: messages(true), warnings: messages(false) }
}

/** Those of the process. */
export const Alarms = Context.Reference<Alarms>("@nimbus/domain/Alarms", {
  defaultValue: () => makeAlarms(alarmLimits),
})
