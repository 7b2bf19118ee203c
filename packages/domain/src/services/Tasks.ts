/**
 * Tasks: handlers that take long, or whose answer comes in parts.
 *
 * ```ts
 * const ask = Tasks.make("ask", {
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
import { Cause, Context, Duration, Effect, Layer, Option, Result as Res, Schema, Stream } from "effect"
import { DuplicateHandler, type LogError } from "../Errors.ts"
import type { ClientId, EventId, Seq } from "../protocol/Ids.ts"
import type { Failure } from "../protocol/Records.ts"
import { messageOf } from "./internal/MessageOf.ts"

/** What a task knows of its event and of its earlier attempts besides the input. `P` is what its parts are. */
export interface TaskContext<P> {
  readonly clientId: ClientId
  /** The same in all attempts: an idempotency key. */
  readonly eventId: EventId
  readonly seq: Seq
  /** From 1. */
  readonly attempt: number
  /** The parts of earlier attempts that the client has or will get, in order, if the task resumes. Read from the log. */
  readonly published: Stream.Stream<P, LogError | Schema.SchemaError>
}

/** How parts that come shortly after each other are joined into one: what their encoded form is. */
export type Combine = "strings" | "arrays"

/** What `Tasks.make` takes. */
export interface TaskDeclaration<I, IE, P, PE, E, R> {
  /** What `data` of the event must be. Any schema whose encoded form can be JSON, decoded without waiting. */
  readonly input: Schema.Codec<I, IE>
  /** What a part of the answer is. */
  readonly part: Schema.Codec<P, PE>
  /**
   * Does the work. A failure ends the task as `failed`, and its message, or else its tag, is told to the client; a defect is
   * logged, and the client is told only that there was one. It is interrupted when the task is cancelled, or when another
   * worker has taken it over.
   */
  readonly handler: (input: I, context: TaskContext<P>) => Stream.Stream<P, E, R>
  /**
   * A later attempt goes on behind the parts in `published`, which are kept in the tasks topic for it. Otherwise it begins
   * again, and its client is told to drop what the attempt before had sent. Default: false.
   */
  readonly resumes?: boolean
  /** How long an attempt may take. Beyond: it ends as `failed` with `HANDLER_TIMEOUT`. Default: an hour. */
  readonly timeout?: Duration.Input
  /** How many of this name may run at once in a process. Default: as many as the process runs of all. */
  readonly at_once?: number
  /** Whether parts may be joined. Default: each is a record of its own. */
  readonly combine?: Combine
}

/** A declared task: JSON in, parts as JSON texts out. `R` is what it needs. */
export interface Task<out R> {
  readonly name: string
  readonly resumes: boolean
  readonly at_once: number
  readonly timeout_ms: number
  readonly combine: Combine | undefined
  readonly run: (data: Schema.Json, context: TaskContext<Schema.Json>) => Stream.Stream<string, Failure, R>
}

/** What any of some tasks need. */
export type TaskServices<T> = T extends Task<infer R> ? R : never

/** The tasks of an application, as a service: `Tasks.make` declares one, `Tasks.layer` provides several. */
export class Tasks extends Context.Service<Tasks, { readonly byName: ReadonlyMap<string, Task<never>> }>()(
  "@nimbus/domain/Tasks",
) {
  /** Declares a task. */
  static readonly make = <I, IE, P, PE, E = never, R = never>(
    name: string,
    declaration: TaskDeclaration<I, IE, P, PE, E, R>,
  ): Task<R> => {
    const { at_once = Infinity, combine, resumes = false, timeout = "1 hour" } = declaration
    return { name, resumes, at_once, timeout_ms: Duration.toMillis(timeout), combine, run: runner(name, declaration) }
  }

  /** The tasks of an application, each of another name. What they need is taken from the layer's environment. */
  static readonly layer = <const T extends ReadonlyArray<Task<unknown>>>(
    tasks: T & ReadonlyArray<Task<TaskServices<T[number]>>>,
  ): Layer.Layer<Tasks, DuplicateHandler, TaskServices<T[number]>> =>
    Layer.effect(Tasks, provided<TaskServices<T[number]>>(tasks))
}

const provided = Effect.fnUntraced(function* <R>(tasks: ReadonlyArray<Task<R>>) {
  const context = yield* Effect.context<R>()
  const byName = new Map<string, Task<never>>()
  for (const task of tasks) {
    if (byName.has(task.name)) return yield* new DuplicateHandler({ name: task.name })
    byName.set(task.name, {
      ...task,
      run: (data, about) => Stream.provideContext(task.run(data, about), context),
    })
  }
  return Tasks.of({ byName })
})

const runner = <I, IE, P, PE, E, R>(
  name: string,
  { handler, input, part }: TaskDeclaration<I, IE, P, PE, E, R>,
): Task<R>["run"] => {
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
  return (data, context) => {
    const decoded = decode(data)
    if (Res.isFailure(decoded)) return Stream.fail({ code: "BAD_INPUT", message: decoded.failure.message })
    const published = Stream.mapEffect(context.published, (json) => decodePart(json))
    return Stream.suspend(() => handler(decoded.success, { ...context, published })).pipe(
      Stream.catchCause((cause) => Stream.fromEffect(failureOf(cause, name, context))),
      Stream.mapEffect(textOf),
    )
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
