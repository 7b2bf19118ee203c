/**
 * The declaration of a task: a handler that takes long, or whose answer comes in parts (`Handlers.task`).
 *
 * ```ts
 * const ask = Handlers.task("ask", {
 *   input: Schema.Struct({ question: Schema.String }),
 *   part: Schema.String,
 *   handler: ({ question }) => model.stream(question),
 *   combine: "strings",
 * })
 * ```
 *
 * A task does not stand in its client's order: the events behind it are handled while it runs. Its parts reach the client in
 * order, each once, and behind them exactly one end. A worker that dies is followed by the next *attempt*, which begins
 * again, or goes on behind what the log has if the task `resumes`.
 */
import {
  Cause,
  Clock,
  type Context,
  Duration,
  Effect,
  Option,
  Pull,
  Result as Res,
  Schedule,
  Schema,
  Stream,
} from "effect"
import type { Caller } from "../access/Caller.ts"
import type { LogError } from "../Errors.ts"
import { taskDefaultLimits } from "../Limits.ts"
import type { ClientId, EventId, Seq } from "../protocol/Ids.ts"
import type { Failure } from "../protocol/Records.ts"
import { expectFunction } from "./internal/ExpectFunction.ts"
import { messageOf } from "./internal/MessageOf.ts"

/** What a task knows of its event and of its earlier attempts besides the input. `P` is what its parts are. */
export interface TaskContext<P> {
  readonly clientId: ClientId
  /** The same in all attempts: an idempotency key. */
  readonly eventId: EventId
  readonly seq: Seq
  /** From 1. */
  readonly attempt: number
  /** Who caused it: subject, issuer and claims, as a gateway has verified them. `undefined`: there are no locks. */
  readonly caller?: Caller | undefined
  /** The parts of earlier attempts that the client has or will get, in order, if the task resumes. Read from the log. */
  readonly published: Stream.Stream<P, LogError | Schema.SchemaError>
}

/** How parts that come shortly after each other are joined into one: what their encoded form is. */
export type Combine = "strings" | "arrays"

/** What `Handlers.task` takes. */
export interface TaskDeclaration<I, IE, P, PE, E, R> {
  /** What `data` of the event must be. Any schema whose encoded form can be JSON, decoded without waiting. */
  readonly input: Schema.Codec<I, IE>
  /** What a part of the answer is. */
  readonly part: Schema.Codec<P, PE>
  /**
   * Does the work. A failure ends the task as `failed`, unless it is retried, and its message, or else its tag, is told to
   * the client; a defect is logged, and the client is told only that there was one. It is interrupted when the task is
   * cancelled, or when another worker has taken it over.
   */
  readonly handler: (input: I, context: TaskContext<P>) => Stream.Stream<P, E, R>
  /**
   * A later attempt goes on behind the parts in `published`, which are kept in the tasks topic for it. Otherwise it begins
   * again, and its client is told to drop what the attempt before had sent. Default: false.
   */
  readonly resumes?: boolean
  /**
   * How long an attempt may take: from 1 ms to 24 days. Beyond, it is interrupted, and the task ends as `failed` with
   * `HANDLER_TIMEOUT`. Default: an hour.
   */
  readonly timeout?: Duration.Input
  /**
   * When a task that failed begins its next attempt, by its typed failure. Without it, and when the schedule ends, the last
   * failure is the end. Input that does not fit, parts that do not fit, defects and time-outs are never retried. Attempts
   * are counted together with those of workers that died (`task_attempts`).
   */
  readonly retry?: Schedule.Schedule<unknown, NoInfer<E>, never, R>
  /** Whether a failure is final, so that no retry would help. Default: none is. */
  readonly final?: (failure: NoInfer<E>) => boolean
  /**
   * How many of this name may run at once in a process, in all, and of one client: 1 or more. A number alone is that in
   * all. Further ones wait. Default: as many as the process runs of all (`TaskQueueLimits`).
   */
  readonly at_once?: number | { readonly all?: number; readonly client?: number }
  /** Whether parts may be joined. Default: each is a record of its own. */
  readonly combine?: Combine
  /**
   * How long a part waits for others that are joined with it, in ms: from 0, at once, to 24 days. It matters only with
   * `combine`. Default: 20.
   */
  readonly join_ms?: number
  /**
   * How long its client may be away before the task ends as `cancelled`: from 1 ms to 24 days, and up to `abandon_look_ms`
   * more. It is measured by a worker while it has the task. Default: for as long as tasks are kept.
   */
  readonly abandon_after?: Duration.Input
}

/** A declared task. `R` is what it needs. */
export interface Task<out R> {
  readonly kind: "task"
  readonly name: string
  readonly resumes: boolean
  /** How many of this name may run at once in a process; `undefined`: as many as there is room for. */
  readonly at_once: number | undefined
  /** The same of one client. */
  readonly client_at_once: number | undefined
  readonly timeout_ms: number
  readonly combine: Combine | undefined
  readonly join_ms: number
  /** `undefined`: its client may be away. */
  readonly abandon_after_ms: number | undefined
  /** Begins a task, or takes one over: its attempts by one worker share their retries. */
  readonly begin: (data: Schema.Json) => TaskWork<R>
}

/** The attempts of a task that one worker makes, one after the other. */
export interface TaskWork<out R> {
  /** An attempt: its parts as JSON texts. */
  readonly attempt: (context: TaskContext<Schema.Json>) => Stream.Stream<string, Failure, R>
  /** After how many ms an attempt follows the one that has failed; `undefined`: its failure is the end. */
  readonly retry_ms: Effect.Effect<number | undefined, never, R>
}

/** Declares a task: `Handlers.task`. */
export const makeTask = <I, IE, P, PE, E = never, R = never>(
  name: string,
  declaration: TaskDeclaration<I, IE, P, PE, E, R>,
): Task<R> => {
  const { abandon_after, at_once, combine, join_ms = taskDefaultLimits.join_ms, resumes = false, timeout } = declaration
  const { all, client } = typeof at_once === "object" ? at_once : { all: at_once }
  expectFunction(name, declaration.handler)
  return {
    kind: "task",
    name,
    resumes,
    at_once: all,
    client_at_once: client,
    timeout_ms: timeout === undefined ? taskDefaultLimits.task_timeout_ms : Duration.toMillis(timeout),
    combine,
    join_ms,
    abandon_after_ms: abandon_after === undefined ? undefined : Duration.toMillis(abandon_after),
    begin: beginner(name, declaration),
  }
}

/** The same with what it needs. */
export const provideTask = <R>(task: Task<R>, context: Context.Context<R>): Task<never> => ({
  ...task,
  begin: (data) => {
    const { attempt, retry_ms } = task.begin(data)
    return {
      attempt: (about) => Stream.provideContext(attempt(about), context),
      retry_ms: Effect.provideContext(retry_ms, context),
    }
  },
})

const beginner = <I, IE, P, PE, E, R>(
  name: string,
  { final = () => false, handler, input, part, retry }: TaskDeclaration<I, IE, P, PE, E, R>,
): Task<R>["begin"] => {
  const decode = Schema.decodeUnknownResult(Schema.toCodecJson(input))
  const decodePart = Schema.decodeUnknownEffect(Schema.toCodecJson(part))
  const encode = Schema.encodeResult(Schema.toCodecJson(part))
  const textOf = (value: P): Effect.Effect<string, Failure> => {
    const encoded = encode(value)
    if (Res.isSuccess(encoded)) return Effect.succeed(JSON.stringify(encoded.success))
    return Effect.andThen(
      Effect.logError("A part of a task does not fit its schema", encoded.failure, { task: name }),
      Effect.fail({ code: "BAD_OUTPUT", message: "A part does not fit its schema" }),
    )
  }
  return (data) => {
    const decoded = decode(data)
    const retries = retry === undefined ? undefined : retriesBy(retry, final)
    const attempt = (context: TaskContext<Schema.Json>): Stream.Stream<string, Failure, R> => {
      retries?.begin()
      if (Res.isFailure(decoded)) return Stream.fail({ code: "BAD_INPUT", message: decoded.failure.message })
      const published = Stream.mapEffect(context.published, (json) => decodePart(json))
      return Stream.suspend(() => handler(decoded.success, { ...context, published })).pipe(
        Stream.tapError((failure) => Effect.sync(() => retries?.failed(failure))),
        Stream.catchCause((cause) => Stream.fromEffect(failureOf(cause, name, context))),
        Stream.mapEffect(textOf),
      )
    }
    return { attempt, retry_ms: retries?.next ?? Effect.succeed(undefined) }
  }
}

/** What becomes of the failures of one task by its schedule. */
const retriesBy = <E, R>(schedule: Schedule.Schedule<unknown, E, never, R>, isFinal: (failure: E) => boolean) => {
  let step: ((now_ms: number, failure: E) => Pull.Pull<[unknown, Duration.Duration], never, unknown, R>) | undefined
  /** Of the latest attempt. */
  let last: Option.Option<E> = Option.none()
  const next: Effect.Effect<number | undefined, never, R> = Effect.gen(function* () {
    if (Option.isNone(last) || isFinal(last.value)) return undefined
    step ??= yield* Schedule.toStep(schedule)
    const [, delay] = yield* step(yield* Clock.currentTimeMillis, last.value)
    return Duration.toMillis(delay)
  }).pipe(Pull.catchDone(() => Effect.succeed(undefined)))
  return {
    begin: (): void => {
      last = Option.none()
    },
    failed: (failure: E): void => {
      last = Option.some(failure)
    },
    next,
  }
}

const failureOf = (
  cause: Cause.Cause<unknown>,
  name: string,
  { clientId, eventId, seq }: TaskContext<unknown>,
): Effect.Effect<never, Failure> => {
  const failure = Cause.findErrorOption(cause)
  if (Option.isSome(failure)) return Effect.fail({ code: "HANDLER_FAILED", message: messageOf(failure.value) })
  return Effect.logError("A task died", cause).pipe(
    Effect.annotateLogs({ task: name, clientId, eventId, seq }),
    Effect.andThen(Effect.fail({ code: "HANDLER_FAILED", message: "The handler failed unexpectedly" })),
  )
}
