/**
 * The client for programs without Effect: promises and callbacks over `Client.make`.
 *
 * ```ts
 * const client = await connect({ url: "ws://127.0.0.1:3000", clientId: "c1", onResult: (result) => console.log(result)
 * }) await client.send("sq", { number: 7 })
 * ```
 */
import type { EventId, Frames, Status } from "@nimbus/domain/protocol"
import type { Schema } from "effect"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Client from "./Client.ts"
import { type Delivery, isLost, type Lost, type Stats } from "./Core.ts"
import { CallbackFailed, type ClientError, type MemoryCorrupt, type MemoryUnavailable } from "./Errors.ts"
import type { TaskEvent } from "./KeptTasks.ts"
import { type ClientMemory, layerMemory } from "./Memory.ts"
import type { RememberedTask, TaskOptions, TaskStream } from "./TaskStreams.ts"
import { layerWebSocket, type WebSocketConstructor } from "./Transport.ts"

/** The id of the client, the address of its gateway, and its callbacks. */
export interface ConnectOptions extends Client.ClientOptions {
  /**
   * Called for each result, in order, each once. The next one waits for the promise. The result is acknowledged after that,
   * so a crash in this callback delivers it again. If it throws, the client closes.
   */
  readonly onResult: (result: Frames.ResultItem) => unknown
  /** Called, in the order of the results, if some will never arrive. Default: a warning in the log. */
  readonly onLost?: ((lost: Lost) => unknown) | undefined
  readonly onStatus?: ((status: Status.StatusName) => void) | undefined
  /** Where the client remembers across restarts. Default: in memory, while this client lives. */
  readonly memory?: Layer.Layer<ClientMemory, MemoryUnavailable | MemoryCorrupt> | undefined
  /** Default: `globalThis.WebSocket`. */
  readonly WebSocket?: WebSocketConstructor | undefined
}

/**
 * The parts of a task, in order, each once. It ends when the task is done, and throws a typed error (`_tag`, `code`) if it
 * failed or was cancelled, as `TaskStream` has it. Each iteration starts with the first part.
 */
export interface TaskParts extends AsyncIterable<Schema.Json> {
  /** The id of the event, by which the task is resumed and cancelled. */
  readonly id: string
  /** The same with the numbers of the parts, and with a notice where the task begins again. */
  readonly events: AsyncIterable<TaskEvent>
}

/** A client without Effect: its methods return promises. */
export interface Connected {
  /** Resolves with the id of the event when the log has stored it. Rejects with a typed error (`_tag`, `code`). */
  send(name: string, data?: Schema.Json, options?: { readonly id?: string | undefined }): Promise<EventId>
  sendAll(events: ReadonlyArray<Client.NewEvent>): Promise<ReadonlyArray<EventId>>
  /** Resolves with the result of the event, which `onResult` receives too. Rejects if the result of this id has come before. */
  request(name: string, data?: Schema.Json, options?: { readonly id?: string | undefined }): Promise<Frames.ResultItem>
  /**
   * Sends one event at once, and gives the parts of its task: `for await (const part of client.stream("ask", question))`.
   * `onResult` is not called with them. To leave the loop does not cancel the task, unless `cancelOnLeave` is set.
   */
  stream(name: string, data?: Schema.Json, options?: Client.StreamOptions): TaskParts
  /** The parts of a task that was streamed before, also by an earlier page with the same memory, from the first one on. */
  resume(id: string, options?: TaskOptions): TaskParts
  /** The tasks that the memory has, which can be resumed. */
  readonly tasks: ReadonlyArray<RememberedTask>
  /** Ends a task. Resolves when it is noted; it is sent again until the log has it. Too late is no error. */
  cancel(id: string): Promise<void>
  readonly status: Status.StatusName
  readonly stats: Stats
  /** Saves, acknowledges what `onResult` has processed, and disconnects. */
  close(): Promise<void>
  /** Resolves after `close`. Rejects with the error with which the client stopped, which may be that of a callback. */
  readonly closed: Promise<void>
}

/** Resolves when the memory is loaded. The client then connects, and reconnects, until it is closed. */
export const connect = async (options: ConnectOptions): Promise<Connected> => {
  const scope = Scope.makeUnsafe()
  const close = () => Effect.runPromise(Scope.close(scope, Exit.void))
  const client = await Effect.runPromise(Effect.onError(open(options, scope), () => Scope.close(scope, Exit.void)))
  const closed = Effect.runPromise(consume(client, options)).finally(close)
  // A caller that awaits `closed` gets the error. Otherwise it is logged, and the process continues.
  closed.catch(() => undefined)
  return {
    send: (name, data, sendOptions) => Effect.runPromise(client.send(name, data, sendOptions)),
    sendAll: (events) => Effect.runPromise(client.sendAll(events)),
    request: (name, data, requestOptions) => Effect.runPromise(client.request(name, data, requestOptions)),
    stream: (name, data, streamOptions) => {
      const task = client.stream(name, data, streamOptions)
      // Whoever reads it gets the error.
      Effect.runPromise(task.start).catch(() => undefined)
      return partsOf(task)
    },
    resume: (id, taskOptions) => partsOf(client.resume(id, taskOptions)),
    get tasks() {
      return Effect.runSync(client.tasks)
    },
    cancel: (id) => Effect.runPromise(client.cancel(id)),
    get status() {
      return Effect.runSync(client.currentStatus)
    },
    get stats() {
      return Effect.runSync(client.stats)
    },
    close,
    closed,
  }
}

const partsOf = (task: TaskStream): TaskParts => ({
  id: task.id,
  events: Stream.toAsyncIterable(task.events),
  [Symbol.asyncIterator]: () => Stream.toAsyncIterable(task)[Symbol.asyncIterator](),
})

/** A client that lives as long as the scope, with its memory. */
const open = (options: ConnectOptions, scope: Scope.Scope) =>
  Effect.gen(function* () {
    const services = Layer.mergeAll(
      options.memory ?? layerMemory,
      options.WebSocket === undefined ? Layer.empty : layerWebSocket(options.WebSocket),
    )
    return yield* Effect.provideContext(Client.make(options), yield* Layer.build(services))
  }).pipe(Scope.provide(scope))

/** Runs the callbacks until `close`. Fails with the error that stops the client. */
const consume = (client: Client.Client, options: ConnectOptions): Effect.Effect<void, ClientError | CallbackFailed> =>
  Effect.raceFirst(
    client.run((delivery) => deliver(delivery, options)),
    Stream.runForEach(client.status, (status) => call(() => options.onStatus?.(status))),
  ).pipe(
    Effect.catchTag("ClientClosed", () => Effect.void),
    Effect.tapError((error) => Effect.logError("The client has stopped", error)),
  )

const deliver = (delivery: Delivery, { onLost, onResult }: ConnectOptions): Effect.Effect<unknown, CallbackFailed> => {
  if (!isLost(delivery)) return call(() => onResult(delivery))
  return onLost === undefined ? Effect.logWarning("Results are lost", delivery) : call(() => onLost(delivery))
}

/** For a callback that returns no promise, none is created. */
const call = (callback: () => unknown): Effect.Effect<unknown, CallbackFailed> =>
  Effect.suspend(() => {
    try {
      const returned = callback()
      if (!(returned instanceof Promise)) return Effect.void
      return Effect.tryPromise({ try: () => returned, catch: (cause) => new CallbackFailed({ cause }) })
    } catch (cause) {
      return Effect.fail(new CallbackFailed({ cause }))
    }
  })
