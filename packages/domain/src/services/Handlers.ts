/**
 * The event handlers of an application: each a name, a schema for its input and its output, and an Effect.
 *
 * ```ts
 * const sq = Handlers.make("sq", {
 *   input: Schema.Struct({ number: Schema.Int }),
 *   output: Schema.Struct({ result: Schema.Int }),
 *   handler: ({ number }) => Effect.succeed({ result: number * number }),
 * })
 * const layer = Handlers.layer([sq])
 * ```
 *
 * An event whose work takes long, or is answered in parts, is a task: `Handlers.task` (`Tasks.ts`).
 *
 * Every event of a handler has exactly one result: its output, or an error with a `FailureCode`. Nothing that a
 * handler does stops the events after it. Which may run at once is the event consumer's to decide (`EventOrder`).
 *
 * A handler may run twice for the same event, after a crash or where it retries: its event id is the idempotency key.
 */
import { Cause, Context, Duration, Effect, Exit, Layer, Option, Result as Res, type Schedule, Schema } from "effect"
import type { Caller } from "../access/Caller.ts"
import { BadHandler, DuplicateHandler } from "../Errors.ts"
import type { ClientId, EventId, Seq } from "../protocol/Ids.ts"
import { type HandlerLimits, handlerLimits, sampleLimits } from "../Limits.ts"
import type { Event, Failure, Result } from "../protocol/Records.ts"
import { Slots } from "../protocol/Slots.ts"
import { makeTask, provideTask, type Task, type TaskDeclaration } from "./Tasks.ts"
import { expectFunction } from "./internal/ExpectFunction.ts"
import { messageOf } from "./internal/MessageOf.ts"
import { retrying } from "./internal/Retrying.ts"
import { sampleStream } from "./internal/SampleStream.ts"
import { within } from "./internal/Within.ts"

/** Whether an effect is its own outcome already, so that there is nothing to run. */
const isExit = <A, E>(effect: Effect.Effect<A, E, unknown>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

/** What a handler knows of its event besides the input. */
export interface HandlerContext {
  readonly clientId: ClientId
  /** The same whenever the event is handled again. */
  readonly eventId: EventId
  readonly seq: Seq
  /** From 1, and one more for each retry. After a crash of the process it is 1 again. */
  readonly attempt: number
  /** Who caused it: subject, issuer and claims, as a gateway has verified them. `undefined`: there are no locks. */
  readonly caller?: Caller | undefined
}

/** An event as it lies in the log. */
export interface PlacedEvent {
  readonly clientId: ClientId
  readonly seq: Seq
  readonly event: Event
  /** Who caused it, if its gateway knew. */
  readonly caller?: Caller | undefined
}

/** Why an event has an error instead of data. */
export type FailureCode = "UNKNOWN_EVENT" | "BAD_INPUT" | "HANDLER_FAILED" | "HANDLER_TIMEOUT" | "BAD_OUTPUT"

/** What comes of an event: data or an error. */
export type Outcome = { readonly data: Schema.Json } | { readonly error: Failure & { readonly code: FailureCode } }

/** A declared handler: JSON in, an outcome out. `R` is what it needs. */
export interface Handler<out R> {
  readonly kind: "handler"
  readonly name: string
  /** For all attempts together; `undefined`: `handler_timeout_ms`. */
  readonly timeout_ms: number | undefined
  /** How many of this name may run at once in a process; `undefined`: as many as there is room for. */
  readonly at_once: number | undefined
  readonly run: (data: Schema.Json, context: HandlerContext) => Effect.Effect<Outcome, never, R>
}

/** What an application declares: handlers and tasks, each of another name. */
export type Declared<R> = Handler<R> | Task<R>

/** What any of some handlers and tasks need. */
export type HandlerServices<H> = H extends Handler<infer R> ? R : H extends Task<infer R> ? R : never

/** What `Handlers.make` takes: the schemas of an event and the Effect that works on it. */
export interface HandlerDeclaration<I, IE, O, OE, E, R> {
  /** What `data` of the event must be. Any schema whose encoded form can be JSON, decoded without waiting. */
  readonly input: Schema.Codec<I, IE>
  /** What `data` of the result is. */
  readonly output: Schema.Codec<O, OE>
  /**
   * Does the work. A failure is told to the client (its message, or else its tag); a defect is logged, and the client
   * is told only that there was one.
   */
  readonly handler: (input: I, context: HandlerContext) => Effect.Effect<O, E, R>
  /**
   * How long the handler may take, for all attempts and the waits between them together: from 1 ms to 24 days. Beyond, it
   * is interrupted, and the result is `HANDLER_TIMEOUT`. Default: `handler_timeout_ms`.
   */
  readonly timeout?: Duration.Input
  /**
   * When a handler that failed runs again, by its typed failure. Without it, and when the schedule ends, the last failure
   * is the result. Input that does not fit, output that does not fit, defects and time-outs are never retried.
   */
  readonly retry?: Schedule.Schedule<unknown, NoInfer<E>, never, R>
  /** Whether a failure is final, so that no retry would help. Default: none is. */
  readonly final?: (failure: NoInfer<E>) => boolean
  /**
   * How many events of this name may be handled at once, over all partitions of one process: 1 or more. Beyond, further
   * ones wait, each holding up its own client alone. Of one client, one event is handled at a time in any case. Default:
   * as many as there is room for (`handlers_at_once`).
   */
  readonly at_once?: number
}

/** How long it takes. */
const Slow = Schema.Struct({
  ms: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: sampleLimits.slow_ms })),
})

/** The square root of the largest safe integer, rounded down. */
const maxRoot = Math.floor(Math.sqrt(Number.MAX_SAFE_INTEGER))

/**
 * The handlers and tasks of an application, as a service: `Handlers.make` and `Handlers.task` declare one, `Handlers.layer`
 * provides several.
 */
export class Handlers extends Context.Service<
  Handlers,
  {
    /** How many of one partition may be unfinished at once. */
    readonly at_once: number
    /**
     * Handles one event, within its time. What is done without waiting is an `Exit` already. A `message` passes as it
     * is.
     */
    handle(placed: PlacedEvent): Effect.Effect<Result>
    /** Whether a handler or a task has this name. */
    knows(name: string): boolean
    /** How many of this handler may run at once in this process; `undefined`: as many as there is room for. */
    limitOf(name: string): number | undefined
    /** The slots of the names that have a limit, for all partitions of this process. */
    readonly slots: Slots
    /** The tasks, by name. Their events are not handled, but handed to the task workers. */
    readonly tasks: ReadonlyMap<string, Task<never>>
  }
>()("@nimbus/domain/Handlers") {
  /** Declares a handler. */
  static readonly make = <I, IE, O, OE, E = never, R = never>(
    name: string,
    { at_once, final, handler, input, output, retry, timeout }: HandlerDeclaration<I, IE, O, OE, E, R>,
  ): Handler<R> => {
    expectFunction(name, handler)
    const decode = Schema.decodeUnknownResult(Schema.toCodecJson(input))
    const encode = Schema.encodeResult(Schema.toCodecJson(output))
    const outcomeOf = (value: O, context: HandlerContext): Effect.Effect<Outcome> => {
      const encoded = encode(value)
      return Res.isSuccess(encoded)
        ? Exit.succeed({ data: encoded.success })
        : badOutput(encoded.failure, name, context)
    }
    const handle = (data: Schema.Json, context: HandlerContext): Effect.Effect<Outcome, never, R> => {
      const decoded = decode(data)
      if (Res.isFailure(decoded)) return failed("BAD_INPUT", decoded.failure.message)
      const begin = (attempt: number): Effect.Effect<O, E, R> => {
        const work = handler(decoded.success, attempt === context.attempt ? context : { ...context, attempt })
        return Effect.isEffect(work) ? work : Exit.die(new TypeError("It returned no Effect"))
      }
      const first = begin(context.attempt)
      if (isExit(first) && Exit.isSuccess(first)) return outcomeOf(first.value, context)
      const work = retry === undefined ? first : retrying(name, first, begin, retry, final)
      // A schema may throw when it encodes: that is this event's failure, as the handler's own is.
      return Effect.catchCause(
        Effect.flatMap(work, (value) => outcomeOf(value, context)),
        (cause) => handlerFailed(cause, name, context),
      )
    }
    return {
      kind: "handler",
      name,
      timeout_ms: timeout === undefined ? undefined : Duration.toMillis(timeout),
      at_once,
      run: (data, context) => {
        try {
          return handle(data, context)
        } catch (defect) {
          return handlerFailed(Cause.die(defect), name, context)
        }
      },
    }
  }

  /** Declares a task: a handler that takes long, or that answers in parts. */
  static readonly task: <I, IE, P, PE, E = never, R = never>(
    name: string,
    declaration: TaskDeclaration<I, IE, P, PE, E, R>,
  ) => Task<R> = makeTask

  /**
   * The handlers and tasks of an application, each of another name. What they need is taken from the layer's environment.
   */
  static readonly layer = <const H extends ReadonlyArray<Declared<unknown>>>(
    handlers: H & ReadonlyArray<Declared<HandlerServices<H[number]>>>,
    limits: HandlerLimits = handlerLimits,
  ): Layer.Layer<Handlers, DuplicateHandler | BadHandler, HandlerServices<H[number]>> =>
    Layer.effect(Handlers, makeHandlers<HandlerServices<H[number]>>(handlers, limits))

  /**
   * The handlers that Nimbus ships: `sq` answers an integer and its square as far as that is a safe integer, `event`
   * whatever it got, and `slow` after as many `ms` as it is told. The task `stream` answers the words of a `text`, one each
   * `every_ms`.
   */
  static readonly samples: readonly [
    sq: Handler<never>,
    event: Handler<never>,
    slow: Handler<never>,
    stream: Task<never>,
  ] = [
    Handlers.make("sq", {
      input: Schema.Struct({ number: Schema.Int.check(Schema.isBetween({ minimum: -maxRoot, maximum: maxRoot })) }),
      output: Schema.Struct({ number: Schema.Int, result: Schema.Int }),
      handler: ({ number }) => Effect.succeed({ number, result: number * number }),
    }),
    Handlers.make("event", { input: Schema.Json, output: Schema.Json, handler: Effect.succeed }),
    Handlers.make("slow", {
      input: Slow,
      output: Slow,
      handler: ({ ms }) => Effect.as(Effect.sleep(ms), { ms }),
      timeout: 2 * sampleLimits.slow_ms,
      at_once: sampleLimits.slow_at_once,
    }),
    sampleStream,
  ]
}

const makeHandlers = Effect.fnUntraced(function* <R>(declared: ReadonlyArray<Declared<R>>, limits: HandlerLimits) {
  const context = yield* Effect.context<R>()
  const byName = new Map<string, Handler<R>>()
  const tasks = new Map<string, Task<never>>()
  const knows = (name: string): boolean => byName.has(name) || tasks.has(name)
  for (const one of declared) {
    const { name } = one
    if (knows(name)) return yield* new DuplicateHandler({ name })
    const reason = refusalOf(one)
    if (reason !== undefined) return yield* new BadHandler({ name, reason })
    if (one.kind === "task") tasks.set(name, provideTask(one, context))
    else byName.set(name, one)
  }

  const run = ({ caller, clientId, event, seq }: PlacedEvent): Effect.Effect<Outcome, never, R> => {
    if (event.type === "message") return Exit.succeed({ data: event.data })
    const handler = byName.get(event.name)
    if (handler === undefined) return failed("UNKNOWN_EVENT", `No handler is called ${JSON.stringify(event.name)}`)
    return handler.run(event.data, { clientId, eventId: event.id, seq, attempt: 1, caller })
  }
  const onTimeout = ({ clientId, event, seq }: PlacedEvent, timeout_ms: number) =>
    Effect.logWarning("A handler was interrupted: its time was over").pipe(
      about(event.name, { clientId, eventId: event.id, seq }),
      Effect.andThen(failed("HANDLER_TIMEOUT", `Not done within ${timeout_ms} ms`)),
    )
  const handle = (placed: PlacedEvent): Effect.Effect<Result> => {
    const work = run(placed)
    if (isExit(work) && Exit.isSuccess(work)) return Exit.succeed(resultOf(placed, work.value, limits))
    const timeout_ms = byName.get(placed.event.name)?.timeout_ms ?? limits.handler_timeout_ms
    const bounded = within(work, { timeout_ms, onTimeout: onTimeout(placed, timeout_ms) })
    return Effect.map(Effect.provideContext(bounded, context), (outcome) => resultOf(placed, outcome, limits))
  }

  const limitOf = (name: string): number | undefined => byName.get(name)?.at_once
  return Handlers.of({
    at_once: limits.handlers_at_once,
    handle,
    knows,
    limitOf,
    slots: new Slots(Infinity, (name) => limitOf(name) ?? Infinity),
    tasks,
  })
})

/** The longest that a timer can wait. */
const most_timeout_ms = 2 ** 31 - 1

/** What is wrong with what a handler or a task says of itself. */
const refusalOf = (declared: Declared<unknown>): string | undefined => {
  const { at_once, timeout_ms = 1 } = declared
  if (!isTimer(timeout_ms, 1)) return `its timeout must be ${timerFrom(1)}, and is ${timeout_ms} ms`
  if (!isCount(at_once)) return `its at_once must be ${countFrom1}, and is ${at_once}`
  if (declared.kind !== "task") return undefined
  const { abandon_after_ms = 1, client_at_once, combine, join_ms } = declared
  if (!isCount(client_at_once)) return `its at_once of one client must be ${countFrom1}, and is ${client_at_once}`
  if (!isTimer(join_ms, 0)) return `its join_ms must be ${timerFrom(0)}, and is ${join_ms} ms`
  if (!isTimer(abandon_after_ms, 1)) return `its abandon_after must be ${timerFrom(1)}, and is ${abandon_after_ms} ms`
  if (combine !== undefined && combine !== "strings" && combine !== "arrays")
    return `its combine must be "strings" or "arrays", and is ${JSON.stringify(combine)}`
  return undefined
}

const isTimer = (time_ms: number, least_ms: number): boolean => time_ms >= least_ms && time_ms <= most_timeout_ms
const timerFrom = (least_ms: number): string => `from ${least_ms} ms to ${most_timeout_ms} ms`

const isCount = (count: number | undefined): boolean =>
  count === undefined || (Number.isSafeInteger(count) && count >= 1)
const countFrom1 = "a whole number from 1 on"

const resultOf = ({ event, seq }: PlacedEvent, outcome: Outcome, limits: HandlerLimits): Result =>
  "error" in outcome
    ? { seq, id: event.id, name: event.name, error: shortened(outcome.error, limits.failure_message_chars) }
    : { seq, id: event.id, name: event.name, data: outcome.data }

/** A failure as it is told to a client: its message has at most so many characters. */
export const shortened = <Code extends string>(
  { code, message }: Failure & { readonly code: Code },
  chars: number,
): Failure & { readonly code: Code } => ({
  code,
  message: message.length <= chars ? message : `${message.slice(0, chars - 1)}…`,
})

const failed = (code: FailureCode, message: string): Effect.Effect<Outcome> =>
  Exit.succeed({ error: { code, message } })

const handlerFailed = (cause: Cause.Cause<unknown>, name: string, context: HandlerContext): Effect.Effect<Outcome> => {
  const failure = Cause.findErrorOption(cause)
  return Option.isSome(failure)
    ? failed("HANDLER_FAILED", messageOf(failure.value))
    : Effect.logError("A handler died", cause).pipe(
        about(name, context),
        Effect.andThen(failed("HANDLER_FAILED", "The handler failed unexpectedly")),
      )
}

const badOutput = (error: Schema.SchemaError, name: string, context: HandlerContext): Effect.Effect<Outcome> =>
  Effect.logError("A handler's output does not fit its schema", error).pipe(
    about(name, context),
    Effect.andThen(failed("BAD_OUTPUT", "The handler's output does not fit its schema")),
  )

/** Says in a log line which event it is about. Only where there is one: around every handler it would cost 0.5 µs. */
const about = (handler: string, context: Omit<HandlerContext, "attempt" | "caller">) =>
  Effect.annotateLogs({ handler, clientId: context.clientId, eventId: context.eventId, seq: context.seq })
