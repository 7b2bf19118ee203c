/**
 * The client: connects the core of `Core.ts` with an application, a memory and a sequence of connections.
 *
 * ```
 *   send ──▶ core ──Remember, Write, Ack──▶ outbox ──▶ writer: save, then write ──▶ transport
 *   consumer ◀── inbox ◀──Deliver── core ◀── reader: a frame at a time ◀─────────── transport
 *      └──Done──▶ core
 * ```
 *
 * One fiber reads and reconnects, and one writes. There is no fiber per event or result. The writer takes the whole
 * outbox at once, as one save, one write and one ack. Because it saves before it writes, the memory has the last seq
 * before the gateway may forget anything up to it.
 *
 * A result is acknowledged after the consumer has processed it, never before. A slow consumer acknowledges late, so the
 * window of the gateway fills and it stops sending. The inbox never has more than that (`Core.ts`, invariant 4).
 */
import { registerSize } from "@nimbus/domain/observability"
import {
  type ClientId,
  type EventId,
  type Failure,
  type Frames,
  Guards,
  ServerFrames,
  type Status,
} from "@nimbus/domain/protocol"
import type { Schema, Scope } from "effect"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Core from "./Core.ts"
import {
  BadRequest,
  ClientClosed,
  type ClientError,
  ConnectionClosed,
  type EventFailed,
  EventInvalid,
  type EventRefused,
  type EventRepeated,
  type MemoryCorrupt,
  type MemoryUnavailable,
  type ResultLost,
  type TaskCancelled,
} from "./Errors.ts"
import { faultIn } from "./EventData.ts"
import * as Inbox from "./Inbox.ts"
import { type ClientLimits, clientLimits } from "./Limits.ts"
import * as Link from "./Link.ts"
import { ClientMemory, type Outgoing } from "./Memory.ts"
import * as Outbox from "./Outbox.ts"
import * as Senders from "./Senders.ts"
import * as TaskStreams from "./TaskStreams.ts"
import * as Tokens from "./Tokens.ts"
import { Transport, type TransportShape } from "./Transport.ts"

/** The id of the client, and the address of its gateway. */
export interface ClientOptions {
  /** The address of the gateway: `ws://host:port`, `wss://…`, or the whole address of its stream. `http` means `ws`. */
  readonly url: string | URL
  /** 1 to 128 characters of `A-Za-z0-9._:@-`. */
  readonly clientId: string
  /**
   * Gives a token, where the gateway has locks. It is asked when the client connects, when the token that the gateway has is
   * about to end, and once where the gateway refuses it: see `Tokens.ts`. Without it the client shows nothing, or the cookie
   * that a browser has.
   */
  readonly token?: Tokens.TokenSource | undefined
  /** Whether each result has the steps of its journey. */
  readonly journey?: boolean | undefined
  readonly limits?: Partial<ClientLimits> | undefined
}

/** An event to be sent. */
export interface NewEvent {
  /** The name of its handler, 1 to 128 characters. */
  readonly name: string
  /** JSON. Data that JSON would omit or change fails with `EventInvalid`: see `EventData.ts`. */
  readonly data?: Schema.Json | undefined
  /**
   * 1 to 128 characters. It identifies this event permanently, and is the idempotency key of the handler. An event that is
   * sent again with the same id, also by a later process, is not a second event, as far as `doubtful_ids` of this client
   * and `dedupe_records` of the pipeline (`welcome`) reach back.
   * Default: a new id.
   */
  readonly id?: string | undefined
}

/** How an event is sent, and its task read. */
export interface StreamOptions extends TaskStreams.TaskOptions {
  /** As for `NewEvent`. An event that is streamed already is not sent again. Default: a new id. */
  readonly id?: string | undefined
}

/** A client for Effect. `connect` makes one with promises and callbacks. */
export interface Client {
  readonly clientId: ClientId
  /**
   * Sends one event, and succeeds with its id when the log has stored it. Suspends while `window_events` events are not
   * accepted, which is also the case while disconnected. If it is interrupted after that, the event is sent nevertheless.
   */
  send(
    name: string,
    data?: Schema.Json,
    options?: { readonly id?: string | undefined },
  ): Effect.Effect<EventId, EventInvalid | EventRefused | ClientError>
  /** Sends many in order. Succeeds when all are accepted. Fails with the first refusal when all are settled. */
  sendAll(
    events: ReadonlyArray<NewEvent>,
  ): Effect.Effect<ReadonlyArray<EventId>, EventInvalid | EventRefused | ClientError>
  /**
   * Sends one event and waits for its result. The result is also delivered to the consumer, in its place, and is
   * acknowledged there: an application that makes only requests must drain `results` too. With an id whose result has
   * come before it fails with `EventRepeated`, which names the seq of that result.
   */
  request(
    name: string,
    data?: Schema.Json,
    options?: { readonly id?: string | undefined },
  ): Effect.Effect<
    Frames.ResultItem,
    EventInvalid | EventRefused | EventFailed | EventRepeated | ResultLost | TaskCancelled | ClientError
  >
  /**
   * Sends one event and streams the parts of its task, in order, each once, across reconnects: see `TaskStream` for how it
   * ends. The event is sent when the stream is run. Its `id` is there at once: `resume` continues with it in a later process.
   * What comes of the event comes in this stream alone, and not in `results`. A handler's result is a single part.
   *
   * The client keeps the parts in its memory, up to `task_chars`, and acknowledges them when they are there. Leaving the
   * stream does not cancel the task, unless `cancelOnLeave` is set.
   */
  stream(name: string, data?: Schema.Json, options?: StreamOptions): TaskStreams.TaskStream
  /**
   * The stream of an event that was streamed before, by this process or an earlier one with the same memory, from its first
   * part on. Fails with `TaskNotKept` if the memory has none of it. Where the first parts are not kept any longer it fails
   * with `PartsForgotten`, and its `events` go on with a notice.
   */
  resume(id: string, options?: TaskStreams.TaskOptions): TaskStreams.TaskStream
  /** The tasks that the memory has, in the order in which they were started. They can be resumed, also after their end. */
  readonly tasks: Effect.Effect<ReadonlyArray<TaskStreams.RememberedTask>>
  /**
   * Ends the task of the latest event of this id, which may have been sent by `send` too. Succeeds when the client has noted
   * it, and sends it again over reconnects, also by a later process with the same memory, until the log has it. Its stream
   * ends with `TaskCancelled`, or as the task ended before: too late is no error.
   */
  cancel(id: string): Effect.Effect<void, EventInvalid | ClientError>
  /**
   * The deliveries of this client, in order, each once: results, and `lost` notices if some will not arrive (`isLost`).
   * Pulling the next array acknowledges the previous one. The last array that was pulled is not acknowledged, and is the
   * first one of the next consumer. There is one consumer at a time: another one waits until this one ends.
   */
  readonly results: Stream.Stream<Core.Delivery, ClientError>
  /**
   * Runs a step for each delivery, one after the other, until the step or the client fails. The results of a frame are
   * acknowledged together, after the last one. If a step fails or is interrupted, those before it are acknowledged. A step
   * that ends its own consumer counts as done if it waits for nothing more.
   */
  run<E, R>(step: (delivery: Core.Delivery) => Effect.Effect<unknown, E, R>): Effect.Effect<never, E | ClientError, R>
  /** OFFLINE, REPLAYING or LIVE: the current status, then each change. A slow reader misses changes, but never the last. */
  readonly status: Stream.Stream<Status.StatusName>
  readonly currentStatus: Effect.Effect<Status.StatusName>
  readonly stats: Effect.Effect<Core.Stats>
  /** Fails when the client has stopped permanently. */
  readonly failed: Effect.Effect<never, ClientError>
}

/**
 * A client that connects, and reconnects, until its scope closes. On closing it saves and acknowledges what the
 * consumer has processed, within `close_timeout_ms`.
 */
export const make = Effect.fn("Client.make")(function* (
  options: ClientOptions,
): Effect.fn.Return<Client, BadRequest | MemoryUnavailable | MemoryCorrupt, ClientMemory | Scope.Scope> {
  const transport = yield* Transport
  const { clientId, url } = yield* Effect.fromResult(targetOf(options, transport))
  const limits = { ...clientLimits, ...options.limits }
  const memory = yield* ClientMemory
  const core = Core.make(yield* memory.load(clientId), limits)
  const outbox = Outbox.make(memory, clientId)
  const tokens = options.token === undefined ? Tokens.none : Tokens.make(options.token, limits)
  // What the core says goes to the parts, which themselves tell the core.
  const tell = (input: Core.Input): ReadonlyArray<Core.Output> => {
    const outputs = Core.step(core, input)
    for (const output of outputs) carryOut(output, { inbox, outbox, senders, tasks })
    return outputs
  }
  const inbox = yield* Inbox.make(limits, tell)
  const senders = yield* Senders.make(core, tell)
  const tasks = TaskStreams.make(core, tell)
  yield* registerSize("client", {
    get size() {
      return { ...Core.sizeOf(core), ...inbox.size, ...outbox.size, ...senders.size, ...tasks.size }
    },
  })
  const status = makeStatus()
  const failed = yield* Deferred.make<never, ClientError>()
  const end = (cause: Cause.Cause<ClientError>): Effect.Effect<void> => {
    inbox.end(cause)
    tasks.end(cause)
    Deferred.doneUnsafe(failed, Effect.failCause(cause))
    status.set("OFFLINE")
    return senders.end(cause)
  }

  let objection: Failure | undefined
  const hears: Hears = {
    tell,
    status,
    tokens,
    objected: (failure) => {
      objection = failure
    },
  }
  const link = Link.keep({
    clientId,
    limits,
    transport,
    tokens,
    address: Effect.suspend(() => {
      objection = undefined
      const address = addressOf(url, options, Core.resume(core))
      return Effect.as(outbox.flush, address)
    }),
    connected: outbox.connect,
    hear: (frames) => Effect.andThen(hear(frames, hears), senders.release),
    objection: () => objection,
    ping: outbox.ping,
    authenticate: outbox.authenticate,
    disconnected: Effect.suspend(() => {
      outbox.disconnect()
      tell({ _tag: "Disconnected" })
      status.set("OFFLINE")
      return senders.release
    }),
  })
  for (const part of [link, outbox.run]) yield* Effect.forkScoped(Effect.catchCause(part, end))
  // Runs before the fibers above are stopped, so that the last ack has a connection.
  yield* Effect.addFinalizer(() =>
    outbox.flush.pipe(
      Effect.timeoutOption(limits.close_timeout_ms),
      Effect.catchTag("MemoryUnavailable", (error) => Effect.logWarning("The last results come again", error)),
      Effect.andThen(inbox.clear),
      Effect.andThen(end(Cause.fail(new ClientClosed()))),
    ),
  )
  const ids = idsFrom(yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER))
  return {
    clientId,
    ...sending(senders, ids, limits),
    ...streaming(senders, tasks, ids),
    cancel: (id) => {
      if (!Guards.isEventId(id)) return Effect.fromResult(invalid(idFault))
      return Effect.raceFirst(
        Deferred.await(failed),
        Effect.sync(() => void tell({ _tag: "Cancel", id })),
      )
    },
    results: inbox.results,
    run: inbox.run,
    status: status.changes,
    currentStatus: status.current,
    stats: Effect.sync(() => ({ ...core.stats })),
    failed: Deferred.await(failed),
  }
})

interface Parts {
  readonly inbox: Inbox.Inbox
  readonly outbox: Outbox.Outbox
  readonly senders: Senders.Senders
  readonly tasks: TaskStreams.TaskStreams
}

/** What can be done at once. `Status`, `Objection`, `Expiring` and `Cut` are seen to by `hear`. */
const carryOut = (output: Core.Output, { inbox, outbox, senders, tasks }: Parts): void => {
  switch (output._tag) {
    case "Remember":
      return outbox.remember(output.change)
    case "Write":
      return outbox.write(output.events)
    case "WriteCancels":
      return outbox.cancel(output.ids)
    case "TaskChanged":
      return tasks.changed(output.id)
    case "Ack":
      return outbox.ack(output.seq)
    case "Deliver":
      inbox.deliver(output.log, output.items)
      return senders.delivered(output.items)
    case "Accepted":
      return senders.accepted(output.ids)
    case "Refused":
      return senders.refused(output.id, output.refusal)
    case "Repeated":
      return senders.repeated(output.id, output.first)
  }
}

/** To whom what is heard goes. */
interface Hears {
  tell(input: Core.Input): ReadonlyArray<Core.Output>
  readonly status: StatusCell
  readonly tokens: Tokens.Tokens
  objected(objection: Failure): void
}

/** Takes frames in, one after the other. One that can't be read may have been results: going on could leave a gap. */
const hear = Effect.fnUntraced(function* (
  frames: ReadonlyArray<string>,
  { objected, status, tell, tokens }: Hears,
): Effect.fn.Return<void, ConnectionClosed> {
  for (const text of frames) {
    const frame = ServerFrames.parse(text)
    if (Result.isFailure(frame)) return yield* protocolError(frame.failure.message)
    if (frame.success.type === "welcome") tokens.welcomed()
    if (frame.success.type === "authenticated") tokens.renewed()
    for (const output of tell({ _tag: "Heard", frame: frame.success })) {
      if (output._tag === "Status") status.set(output.status)
      else if (output._tag === "Objection") {
        objected(output.objection)
        yield* Effect.logWarning("The gateway objects", output.objection)
      } else if (output._tag === "Expiring") tokens.expiring(output.seconds)
      else if (output._tag === "Cut") return yield* protocolError(output.reason)
    }
  }
})

/** As RFC 6455 has it: the other side does not keep to the protocol. The client comes back. */
const protocolError = (reason: string) => Effect.fail(new ConnectionClosed({ close: 1002, reason }))

interface StatusCell {
  set(status: Status.StatusName): void
  readonly current: Effect.Effect<Status.StatusName>
  readonly changes: Stream.Stream<Status.StatusName>
}

/** Changes that a reader has not taken yet. Beyond: it misses the oldest. */
const unreadChanges = 16

type StatusReader = Queue.Queue<Status.StatusName, Cause.Done>

/** A queue for each reader: a `PubSub` would be a tenth of what a page loads. */
const makeStatus = (): StatusCell => {
  const readers = new Set<StatusReader>()
  let current: Status.StatusName = "OFFLINE"
  const add = (reader: StatusReader) =>
    Effect.sync(() => {
      readers.add(reader)
      Queue.offerUnsafe(reader, current)
    })
  const remove = (reader: StatusReader) => Effect.sync(() => readers.delete(reader))
  return {
    set: (status) => {
      if (status === current) return
      current = status
      for (const reader of readers) Queue.offerUnsafe(reader, status)
    },
    current: Effect.sync(() => current),
    changes: Stream.callback((reader) => Effect.acquireRelease(add(reader), () => remove(reader)), {
      bufferSize: unreadChanges,
      strategy: "sliding",
    }),
  }
}

// Sending

const sending = (senders: Senders.Senders, nextId: () => string, limits: ClientLimits) => {
  const sendAll: Client["sendAll"] = Effect.fnUntraced(function* (events) {
    const outgoing: Array<Outgoing> = []
    let named = false
    for (const event of events) {
      if (event.id !== undefined) named = true
      outgoing.push(yield* Effect.fromResult(encode({ ...event, id: event.id ?? nextId() })))
    }
    for (let i = 0; i < outgoing.length; i += limits.window_events) {
      yield* senders.submit(outgoing.slice(i, i + limits.window_events), named)
    }
    return outgoing.map((event) => event.id)
  })
  const send: Client["send"] = (name, data, options) =>
    Effect.map(sendAll([{ name, data, id: options?.id }]), ([id]) => id!)
  // The id is made when the request is run: the same effect run twice is two requests.
  const request: Client["request"] = (name, data, options) =>
    Effect.suspend(() => {
      const event = Effect.fromResult(encode({ name, data, id: options?.id ?? nextId() }))
      return Effect.flatMap(event, (outgoing) => senders.request(outgoing, options?.id !== undefined))
    })
  return { send, sendAll, request }
}

const streaming = (
  senders: Senders.Senders,
  tasks: TaskStreams.TaskStreams,
  nextId: () => string,
): Pick<Client, "stream" | "resume" | "tasks"> => ({
  stream: (name, data, options) => {
    const id = options?.id ?? nextId()
    const event = Effect.suspend(() => Effect.fromResult(encode({ name, data, id })))
    const start = Effect.flatMap(event, (outgoing) => senders.submit([outgoing], options?.id !== undefined, name))
    return tasks.make(id, start, options)
  },
  resume: (id, options) => tasks.make(id, Effect.void, options),
  tasks: tasks.remembered,
})

/** Ids of this life: distinct by the random start, short by the count. */
const idsFrom = (random: number): (() => string) => {
  const prefix = random.toString(36)
  let count = 0
  return () => `${prefix}-${(count++).toString(36)}`
}

/** The frame of an event. Checked here is what the gateway could only answer with a refusal that names no event. */
const encode = (event: NewEvent & { readonly id: string }): Result.Result<Outgoing, EventInvalid> => {
  const { id, name } = event
  if (!Guards.isEventId(id)) return invalid(idFault)
  if (!Guards.isEventName(name)) return invalid("name: a name has 1 to 128 characters")
  const frame: Frames.EventFrame = {
    type: "event",
    id,
    name,
    ...(event.data === undefined ? {} : { data: event.data }),
  }
  try {
    const fault = event.data === undefined ? undefined : faultIn(event.data)
    if (fault !== undefined) return invalid(fault)
    return Result.succeed({ id, frame: JSON.stringify(frame) })
  } catch (error) {
    return invalid(`data: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const idFault = "id: an id has 1 to 128 characters"

const invalid = (reason: string) => Result.fail(new EventInvalid({ reason }))

// Addressing

interface Target {
  readonly clientId: ClientId
  readonly url: URL
}

const targetOf = (options: ClientOptions, transport: TransportShape): Result.Result<Target, BadRequest> => {
  const { clientId } = options
  if (!Guards.isClientId(clientId)) {
    return Result.fail(new BadRequest({ reason: "clientId: a client id has 1 to 128 characters of A-Za-z0-9._:@-" }))
  }
  // As parsed, its scheme is in small letters.
  const text = URL.parse(String(options.url))?.href ?? ""
  const url = URL.parse(text.replace(/^http/, "ws"))
  const fault = url === null ? notAnAddress : faultOf(url, transport)
  if (url === null || fault !== undefined) {
    return Result.fail(new BadRequest({ reason: `url: ${options.url} ${fault}` }))
  }
  url.hash = ""
  if (url.pathname === "/") url.pathname = "/v1/stream"
  return Result.succeed({ clientId, url })
}

const notAnAddress = "is no address of a WebSocket"

const faultOf = (url: URL, transport: TransportShape): string | undefined => {
  if (!/^wss?:$/.test(url.protocol)) return notAnAddress
  if (url.hash !== "") return "has a fragment (#), which the address of a WebSocket has not"
  return transport.fault?.(url)
}

/** The stream's address with what the gateway must know to resume. */
const addressOf = (base: URL, options: ClientOptions, resumption: ReturnType<typeof Core.resume>): string => {
  const url = new URL(base)
  url.searchParams.set("clientId", options.clientId)
  url.searchParams.set("ack", "client")
  if (options.journey === true) url.searchParams.set("journey", "true")
  if (resumption !== undefined) {
    url.searchParams.set("log", resumption.log)
    url.searchParams.set("after", String(resumption.after))
  }
  return url.href
}
