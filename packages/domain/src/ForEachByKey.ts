/**
 * One Effect for each item of a chunk: of one key one at a time and in order, of different keys at once up to a bound;
 * the answers in the order of the items.
 *
 * Made for effects that mostly finish without waiting. Each is started where it stands: one that is an `Exit` already
 * costs no fiber, and one that finishes at once (0.2 µs with its fiber) no timer, no lookup and no turn of the
 * scheduler. Only one that has to wait gets a lane: the place of its key among those under way, where the later items
 * of that key queue up.
 */
import { type Context, Effect, Exit, Fiber } from "effect"

export interface Options<A, K, B, R> {
  readonly key: (item: A) => K
  readonly run: (item: A) => Effect.Effect<B, never, R>
  /** Unfinished effects at once, at least 1. At the bound the rest of the chunk waits. */
  readonly at_once: number
  /**
   * How long one may take. After that it is interrupted, and `onTimeout` answers in its place. Its key goes on when it
   * has ended: one that cannot be interrupted is waited for.
   */
  readonly timeout_ms: number
  readonly onTimeout: (item: A) => Effect.Effect<B, never, R>
}

export const forEachByKey = <A, K, B, R>(
  items: ReadonlyArray<A>,
  options: Options<A, K, B, R>,
): Effect.Effect<ReadonlyArray<B>, never, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback<ReadonlyArray<B>>((resume) => {
      const chunk = new Chunk(items, options, Effect.runForkWith(context), resume)
      chunk.pump()
      return chunk.stop
    }),
  )

/** Whether an effect is its own outcome already, so that there is nothing to run. */
export const isExit = <A, E>(effect: Effect.Effect<A, E, unknown>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

/** A key whose item is under way. */
interface Lane<K> {
  readonly key: K
  /** Later items of the key, by index; those before `at` are done. */
  readonly indices: Array<number>
  at: number
  fiber: Fiber.Fiber<unknown>
}

type Fork<R> = <A>(effect: Effect.Effect<A, never, R>) => Fiber.Fiber<A>

class Chunk<A, K, B, R> {
  private readonly answers: Array<B>
  private readonly lanes = new Map<K, Lane<K>>()
  /** Lanes whose item has finished and whose next one may start. */
  private readonly freed: Array<Lane<K>> = []
  private next = 0
  private answered = 0
  private pumping = false
  private stopped = false
  private readonly items: ReadonlyArray<A>
  private readonly options: Options<A, K, B, R>
  private readonly fork: Fork<R>
  private readonly resume: (done: Effect.Effect<ReadonlyArray<B>>) => void

  constructor(
    items: ReadonlyArray<A>,
    options: Options<A, K, B, R>,
    fork: Fork<R>,
    resume: (done: Effect.Effect<ReadonlyArray<B>>) => void,
  ) {
    this.answers = Array.from({ length: items.length })
    this.items = items
    this.options = options
    this.fork = fork
    this.resume = resume
  }

  /** Interrupts what is under way, and waits for it. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.stopped = true
    return Fiber.interruptAll(Array.from(this.lanes.values(), (lane) => lane.fiber))
  })

  /**
   * Starts whatever may start. An effect that runs may finish that of another lane, which comes back in here: that call
   * leaves it to the one already running, so that no item is started inside of another.
   */
  pump(): void {
    if (this.pumping || this.stopped) return
    this.pumping = true
    while (true) {
      const lane = this.freed.shift()
      if (lane !== undefined) this.advance(lane)
      else if (this.next < this.items.length && this.lanes.size < this.options.at_once) this.take(this.next++)
      else break
    }
    this.pumping = false
    if (this.answered === this.items.length) this.resume(Effect.succeed(this.answers))
  }

  private take(index: number): void {
    const lane = this.lanes.size === 0 ? undefined : this.lanes.get(this.options.key(this.items[index]!))
    if (lane !== undefined) {
      lane.indices.push(index)
      return
    }
    const fiber = this.start(index)
    if (fiber === undefined) return
    const opened: Lane<K> = { key: this.options.key(this.items[index]!), indices: [], at: 0, fiber }
    this.lanes.set(opened.key, opened)
    this.watch(opened, index, fiber)
  }

  private advance(lane: Lane<K>): void {
    while (lane.at < lane.indices.length) {
      const index = lane.indices[lane.at++]!
      const fiber = this.start(index)
      if (fiber === undefined) continue
      lane.fiber = fiber
      this.watch(lane, index, fiber)
      return
    }
    this.lanes.delete(lane.key)
  }

  /** The fiber, if it has not finished at once. */
  private start(index: number): Fiber.Fiber<B> | undefined {
    const effect = this.options.run(this.items[index]!)
    if (isExit(effect)) {
      this.answer(index, effect)
      return undefined
    }
    const fiber = this.fork(effect)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) return fiber
    this.answer(index, exit)
    return undefined
  }

  private watch(lane: Lane<K>, index: number, fiber: Fiber.Fiber<B>): void {
    let late: Exit.Exit<B> | undefined
    const timer = this.fork(
      Effect.sleep(this.options.timeout_ms).pipe(
        Effect.andThen(this.options.onTimeout(this.items[index]!)),
        Effect.map((answer) => {
          late = Exit.succeed(answer)
          fiber.interruptUnsafe()
        }),
      ),
    )
    fiber.addObserver((exit) => {
      timer.interruptUnsafe()
      this.answer(index, late !== undefined && Exit.isFailure(exit) ? late : exit)
      this.freed.push(lane)
      this.pump()
    })
  }

  /** An effect that dies takes the chunk with it: it is not one that answers always. */
  private answer(index: number, exit: Exit.Exit<B>): void {
    if (Exit.isFailure(exit)) {
      if (!this.stopped) this.resume(Effect.andThen(this.stop, Effect.failCause(exit.cause)))
      return
    }
    this.answers[index] = exit.value
    this.answered++
  }
}
