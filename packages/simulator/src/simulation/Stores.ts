/** The mailboxes and the registry of a run: the memory stores over lines, with what faults do to their contents. */
import { MailboxUnavailable, RegistryUnavailable } from "@nimbus/domain/errors"
import type { Mailbox, MailboxMemory, Registry, RegistryMemory } from "@nimbus/domain/services"
import type { Dice } from "@nimbus/domain/testing/dice"
import { Clock, Effect, Exit, Stream } from "effect"
import type { Line } from "./Line.ts"
import { type Process, timeOf } from "./Process.ts"
import type { Watcher } from "./Watcher.ts"

/** States kept to go back to. */
const snapshots = 8
const snapshot_every_ms = 700

/** Earlier states of a store, the oldest first. */
class History<S> {
  private readonly line: Line
  private readonly take: () => S
  private kept: Array<S> = []

  constructor(line: Line, take: () => S) {
    this.line = line
    this.take = take
    this.goOn()
  }

  pick(dice: Dice): S {
    return dice.pick(this.kept) ?? this.take()
  }

  private goOn(): void {
    this.kept.push(this.take())
    if (this.kept.length > snapshots) this.kept.shift()
    this.line.kernel.after(snapshot_every_ms, () => this.goOn())
  }
}

export class Mailboxes {
  readonly line: Line
  private readonly store: MailboxMemory.MailboxMemory
  private readonly watcher: Watcher
  private readonly history: History<MailboxMemory.MailboxSnapshot>
  private readonly empty: MailboxMemory.MailboxSnapshot

  /** `store`: claimed already, as on an installation that has run before. */
  constructor(line: Line, store: MailboxMemory.MailboxMemory, watcher: Watcher) {
    this.line = line
    this.store = store
    this.watcher = watcher
    this.empty = store.snapshot()
    this.history = new History(line, store.snapshot)
  }

  /** A failover to a replica that had not got the last writes. */
  rollBack(dice: Dice): void {
    this.store.restore(this.history.pick(dice))
  }

  wipe(): void {
    this.line.trace.observer?.mailboxesWiped()
    this.store.restore(this.empty)
  }

  of(process: Process): Mailbox["Service"] {
    const { line } = this
    const { mailbox } = this.store
    const call = <A, E>(operation: string, what: () => string, effect: Effect.Effect<A, E | MailboxUnavailable>) =>
      line.call(
        process,
        operation,
        () => {
          const exit = Effect.runSyncExit(effect)
          line.trace.say(process.name, () => `mailbox: ${what()}`)
          return exit
        },
        () => Exit.fail(new MailboxUnavailable({ operation, cause: "simulated" })),
      )
    return {
      claim: (log) => call("claim", () => "claim", mailbox.claim(log)),
      offset: (partition) => call("offset", () => `offset of ${partition}`, mailbox.offset(partition)),
      put: (partition, put) =>
        call(
          "put",
          () =>
            `put ${partition} [${put.expected ?? "none"}, ${put.next}) ${put.records.map((r) => `${r.clientId}:${r.seq}`).join(" ")}`,
          Effect.tap(mailbox.put(partition, put), (outcome) =>
            Effect.sync(() => {
              if (outcome._tag === "Differs") line.trace.count("rule: a put finds another offset")
              else line.trace.observer?.put(put.records.map(({ seq }) => seq))
            }),
          ),
        ),
      page: (clientId, after, limit) =>
        Effect.suspend(() => {
          const read = line.trace.observer?.asksPage(process.name)
          const page = Effect.tap(mailbox.page(clientId, after, limit), ({ records }) =>
            Effect.sync(() =>
              read?.(
                records.map(({ seq }) => seq),
                after,
              ),
            ),
          )
          return call("page", () => `page of ${clientId} after ${after}`, page)
        }),
      ack: (acks) =>
        call(
          "ack",
          () => `trim ${acks.map(({ clientId, seq }) => `${clientId}:${seq}`).join(" ")}`,
          Effect.suspend(() => {
            for (const { clientId, seq } of acks) {
              this.watcher.acknowledged(process.name, clientId, seq)
              line.trace.observer?.trimmed(seq)
            }
            return mailbox.ack(acks)
          }),
        ),
      waiting: (asked, areHere) =>
        call(
          "waiting",
          () => `look for ${asked.length}`,
          Effect.tap(mailbox.waiting(asked, areHere), (found) =>
            Effect.sync(() => line.trace.count("rule: the sweep finds mail", found.filter((is) => is).length)),
          ),
        ),
      expire: (now_ms) => call("expire", () => "expire", mailbox.expire(now_ms)),
      stats: (clientId) => call("stats", () => `stats of ${clientId}`, mailbox.stats(clientId)),
    }
  }
}

export class Registries {
  readonly line: Line
  /** Set by a fault: of so many reads one is answered from an earlier state. 0: none. */
  readsStale_one_in = 0
  private readonly store: RegistryMemory.RegistryMemory
  private readonly clock: Clock.Clock
  private readonly history: History<RegistryMemory.RegistrySnapshot>

  constructor(line: Line, store: RegistryMemory.RegistryMemory) {
    this.line = line
    this.store = store
    // Nothing in a store sleeps.
    this.clock = { ...timeOf(line.kernel), sleep: () => Effect.never }
    this.history = new History(line, store.snapshot)
  }

  rollBack(dice: Dice): void {
    this.store.restore(this.history.pick(dice))
  }

  wipe(): void {
    this.line.trace.observer?.registryWiped()
    this.store.wipe()
  }

  of(process: Process): Registry["Service"] {
    const { line } = this
    const { registry } = this.store
    const run = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.runSyncExit(Effect.provideService(effect, Clock.Clock, this.clock))
    /** What goes round and round by the clock says nothing in the trace. */
    const call = <A, E>(
      operation: string,
      what: (() => string) | undefined,
      effect: Effect.Effect<A, E | RegistryUnavailable>,
    ) =>
      line.call(
        process,
        operation,
        () => {
          const exit = run(effect)
          if (what !== undefined) line.trace.say(process.name, () => `registry: ${what()}`)
          return exit
        },
        () => Exit.fail(new RegistryUnavailable({ operation, cause: "simulated" })),
      )
    const read = <A, E>(operation: string, effect: Effect.Effect<A, E | RegistryUnavailable>) =>
      call(
        operation,
        undefined,
        Effect.suspend(() => this.reading(effect)),
      )
    return {
      connect: (clientId, pod, atLeast) =>
        call(
          "connect",
          () => `${clientId} connects at ${pod}`,
          Effect.tap(registry.connect(clientId, pod, atLeast), (epoch) =>
            Effect.sync(() => line.trace.observer?.connected(pod, atLeast, epoch)),
          ),
        ),
      write: (presences) =>
        call(
          "write",
          () => presences.map((one) => `${one.clientId} is ${one.status} at ${one.epoch}`).join(", "),
          Effect.tap(registry.write(presences), (held) =>
            Effect.sync(() => {
              line.trace.count("rule: a write of an older session is refused", held.filter((is) => !is).length)
              for (const [i, isHeld] of held.entries()) line.trace.observer?.registered(presences[i]!, !isHeld)
            }),
          ),
        ),
      pods: (clientIds) => read("pods", registry.pods(clientIds)),
      statuses: (clientIds) => read("statuses", registry.statuses(clientIds)),
      forget: (clientIds) => call("forget", undefined, registry.forget(clientIds)),
      lease: (pod, ttl_ms) => call("lease", () => `lease of ${pod}`, registry.lease(pod, ttl_ms)),
      renew: (pod, ttl_ms) => call("renew", undefined, registry.renew(pod, ttl_ms)),
      release: (pod) => call("release", () => `end of ${pod}`, registry.release(pod)),
      livePods: read("livePods", registry.livePods),
      entries: Stream.unwrap(
        Effect.map(read("entries", Stream.runCollect(registry.entries)), (entries) => Stream.fromIterable(entries)),
      ),
    }
  }

  /** What a replica answers that has not got the last writes. */
  private reading<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const { dice, trace } = this.line
    if (this.readsStale_one_in === 0 || !dice.oneIn(this.readsStale_one_in)) return effect
    trace.count("fault: a stale read")
    const now = this.store.snapshot()
    this.store.restore(this.history.pick(dice))
    return Effect.ensuring(
      effect,
      Effect.sync(() => this.store.restore(now)),
    )
  }
}
