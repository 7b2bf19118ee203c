/**
 * The lossy channels of a run: from routers to pods, and from gateways back to routers. Batches come apart on their way;
 * each message takes its own time, may come twice, or not at all.
 */
import { ChannelUnavailable } from "@nimbus/domain/errors"
import type { AckMessage, PodId, PodMessage } from "@nimbus/domain/protocol"
import type { AckChannel, PodChannel } from "@nimbus/domain/services"
import { type Cause, Effect, Exit, Queue, type Scope, Stream } from "effect"
import type { Line } from "./Line.ts"
import type { Process } from "./Process.ts"
import type { Watcher } from "./Watcher.ts"

interface Subscriber<M> {
  readonly process: Process
  readonly queue: Queue.Queue<ReadonlyArray<M>, Cause.Done>
  waiting: number
}

/** One kind of channel, by key: a pod, or a partition. */
export class Channel<K, M> {
  readonly line: Line
  /** Set by faults: of so many messages one is lost, comes twice, or comes up to `late_ms` later. 0: none. */
  loses_one_in = 0
  repeats_one_in = 0
  delays_one_in = 0
  /** Set by a fault: nobody receives what is published, and publishers know. */
  isDeaf = false
  private readonly wordsOf: (message: M) => string
  private readonly waiting_messages: number
  private readonly subscribers = new Map<K, Set<Subscriber<M>>>()

  constructor(line: Line, waiting_messages: number, wordsOf: (message: M) => string) {
    this.line = line
    this.waiting_messages = waiting_messages
    this.wordsOf = wordsOf
  }

  publish(process: Process, key: K, messages: ReadonlyArray<M>): Effect.Effect<boolean, ChannelUnavailable> {
    return this.line.call(
      process,
      "publish",
      () => {
        this.line.trace.say(process.name, () => `${this.line.name} ${key}: ${messages.map(this.wordsOf).join(" ")}`)
        return Exit.succeed(this.send(key, messages))
      },
      this.unavailable,
    )
  }

  subscribe(
    process: Process,
    key: K,
  ): Effect.Effect<Stream.Stream<ReadonlyArray<M>, ChannelUnavailable>, ChannelUnavailable, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      yield* this.line.call(process, "subscribe", () => Exit.void, this.unavailable)
      const queue = yield* Queue.unbounded<ReadonlyArray<M>, Cause.Done>()
      const subscriber: Subscriber<M> = { process, queue, waiting: 0 }
      const all = this.subscribers.get(key) ?? new Set()
      this.subscribers.set(key, all)
      all.add(subscriber)
      const leave = () => void all.delete(subscriber)
      process.onDeath(leave)
      yield* Effect.addFinalizer(() => Effect.andThen(Effect.sync(leave), Queue.end(queue)))
      const pull = Effect.map(Queue.takeAll(queue), (batches) => {
        subscriber.waiting = 0
        return [batches.flat()] as const
      })
      return Stream.fromPull(Effect.succeed(pull))
    })
  }

  private readonly unavailable = () =>
    Exit.fail(new ChannelUnavailable({ channel: this.line.name, cause: "simulated" }))

  private send(key: K, messages: ReadonlyArray<M>): boolean {
    const { trace } = this.line
    if (this.isDeaf) {
      trace.count(`fault: ${this.line.name} deaf`)
      return false
    }
    const subscribers = this.subscribers.get(key)
    if (subscribers === undefined || subscribers.size === 0) return false
    for (const subscriber of subscribers) this.carry(subscriber, messages)
    return true
  }

  /** Without faults a batch stays together. */
  private carry(subscriber: Subscriber<M>, messages: ReadonlyArray<M>): void {
    const { dice, kernel, trace } = this.line
    const isSound = this.loses_one_in + this.repeats_one_in + this.delays_one_in === 0
    if (isSound) return void kernel.after(this.line.delay_ms(), () => this.arrive(subscriber, messages))
    const happens = (one_in: number, what: string, message: M): boolean => {
      if (one_in === 0 || !dice.oneIn(one_in)) return false
      trace.count(`fault: ${this.line.name} ${what}`)
      trace.say(this.line.name, () => `${what} ${this.wordsOf(message)}`)
      return true
    }
    for (const message of messages) {
      if (happens(this.loses_one_in, "loses", message)) continue
      const delay_ms = this.line.delay_ms() + (happens(this.delays_one_in, "delays", message) ? dice.upTo(late_ms) : 0)
      kernel.after(delay_ms, () => this.arrive(subscriber, [message]))
      if (happens(this.repeats_one_in, "repeats", message)) {
        kernel.after(dice.upTo(late_ms), () => this.arrive(subscriber, [message]))
      }
    }
  }

  private arrive(subscriber: Subscriber<M>, messages: ReadonlyArray<M>): void {
    const { process, queue } = subscriber
    if (subscriber.waiting + messages.length > this.waiting_messages) {
      this.line.trace.count(`rule: ${this.line.name} drops what is beyond its bound`)
      return
    }
    subscriber.waiting += messages.length
    process.enter(() => void Queue.offerUnsafe(queue, messages))
  }
}

/** How late a datagram may come. */
const late_ms = 3_000

export const podChannelOf = (
  channel: Channel<PodId, PodMessage>,
  process: Process,
  watcher: Watcher,
): PodChannel["Service"] => ({
  publish: (pod, messages) =>
    Effect.suspend(() => {
      watcher.pushed(messages.filter((message) => message._tag === "Push"))
      return channel.publish(process, pod, messages)
    }),
  subscribe: (pod) => channel.subscribe(process, pod),
})

export const ackChannelOf = (
  channel: Channel<number, AckMessage>,
  process: Process,
  watcher: Watcher,
): AckChannel["Service"] => ({
  publish: (partition, messages) =>
    Effect.suspend(() => {
      for (const message of messages) {
        if (message._tag === "Ack") watcher.acknowledged(process.name, message.clientId, message.seq)
      }
      return Effect.asVoid(channel.publish(process, partition, messages))
    }),
  subscribe: (partition) => channel.subscribe(process, partition),
})
