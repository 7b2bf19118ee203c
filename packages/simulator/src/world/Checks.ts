/**
 * What must hold in a world, after every step and at the end. It keeps its own account of the log and shares nothing
 * with what it checks.
 */
import { type ClientId, isBarrier, peekSeq, type Push, type RouteId, start, type Status } from "@nimbus/domain/protocol"
import type { Client } from "./Client.ts"
import type { Connection } from "./Connection.ts"
import type { World } from "./World.ts"

export type Rule =
  | "exactly once, in order"
  | "what is missing was sent as lost"
  | "bounds"
  | "a push states a fact"
  | "a mailbox keeps the older"
  | "LIVE is at the end of the mailbox"
  | "the commit never skips"
  | "epochs never fall"
  | "an epoch is used once"
  | "it settles"

export class Violation extends Error {
  readonly rule: Rule

  constructor(rule: Rule, message: string) {
    super(`${rule}: ${message}`)
    this.rule = rule
  }
}

export class Checks {
  private readonly world: World
  /** Per client the seqs of its events and barriers, in order; and of its events alone, the `n`th at `n - 1`. */
  private readonly log = new Map<ClientId, { readonly all: Array<number>; readonly events: Array<number> }>()
  private readonly checked = new Map<ClientId, number>()
  private readonly spilled = new Set<string>()
  private readonly epochs = new Map<ClientId, Status.Status>()
  private registryFaults = 0
  /** By client, pod and epoch: whose it is. */
  private readonly sessions = new Map<string, Connection>()
  /** Not checked yet: nobody has been LIVE by their route. */
  private readonly pushes = new Map<RouteId, Array<Push>>()
  /** By which route each was LIVE the last time. */
  private readonly routes = new WeakMap<Connection, RouteId>()
  /** By client and seq, what was in its mailbox the last time. */
  private mail = new Map<string, Uint8Array>()
  private mailboxFaults = 0
  private events = 0
  private dlq = 0
  private committed = 0

  constructor(world: World) {
    this.world = world
    for (const { id } of world.clients) this.log.set(id, { all: [], events: [] })
  }

  /** After every step. */
  step(): void {
    this.readTopics()
    this.checkPushes()
    this.checkMailboxes()
    for (const client of this.world.clients) this.checkShown(client)
    this.checkCommit()
    this.checkEpochs()
    this.checkSessions()
    this.checkBounds()
  }

  /** At the end: every client has everything. */
  settled(): void {
    this.step()
    for (const client of this.world.clients) {
      const last = this.highest(client)
      for (let n = last + 1; n <= client.sent; n++) this.checkTold(client, n, client.sent)
    }
  }

  private readTopics(): void {
    const { dlq, events } = this.world.parts
    for (; this.events < events.end; this.events++) {
      const { key, value } = events.at(this.events)
      const log = this.log.get(key)
      log?.all.push(this.events)
      if (value._tag === "Event") log?.events.push(this.events)
    }
    for (; this.dlq < dlq.end; this.dlq++) {
      const { key, value } = dlq.at(this.dlq)
      this.spilled.add(`${key} ${peekSeq(value)}`)
    }
  }

  /** A route may be made of a repeated old barrier; but nobody who is LIVE by it is told what is not so. */
  private checkPushes(): void {
    for (const push of this.world.parts.pods.takePushes()) {
      const ofRoute = this.pushes.get(push.route)
      if (ofRoute === undefined) this.pushes.set(push.route, [push])
      else ofRoute.push(push)
    }
    for (const connection of this.world.connections) {
      const route = connection.session.route
      if (route === undefined) continue
      if (this.routes.get(connection) !== route) this.checkEnd(connection)
      this.routes.set(connection, route)
      for (const push of this.pushes.get(route) ?? []) this.checkPush(push)
      this.pushes.delete(route)
    }
  }

  /** Nothing was behind the barrier by which it is LIVE, nor in a page to come. */
  private checkEnd({ lastPage, name, session }: Connection): void {
    const last = lastPage?.records.at(-1)
    if (lastPage?.short === true && last !== undefined && isBarrier(last.value)) return
    const what = lastPage?.records.map(({ seq, value }) => `${seq}${isBarrier(value) ? " (a barrier)" : ""}`) ?? []
    const page = what.length === 0 ? "nothing" : what.join(", ")
    throw new Violation("LIVE is at the end of the mailbox", `${name} is ${session.status} by a page with ${page}`)
  }

  private checkPush({ clientId, prev, seq }: Push): void {
    const before = this.log.get(clientId)?.all.findLast((other) => other < seq)
    if (before !== prev) {
      throw new Violation("a push states a fact", `${clientId} ${prev}→${seq}, but ${before} is just before ${seq}`)
    }
  }

  /** What is in a mailbox stays as it is until it goes. */
  private checkMailboxes(): void {
    const { mailbox } = this.world.parts
    const before = mailbox.faults === this.mailboxFaults ? this.mail : new Map<string, Uint8Array>()
    this.mailboxFaults = mailbox.faults
    this.mail = new Map()
    for (const { id } of this.world.clients) {
      for (const { seq, value } of mailbox.page(id, start, everything).records) {
        const key = `${id} ${seq}`
        if ((before.get(key) ?? value) !== value) throw new Violation("a mailbox keeps the older", key)
        this.mail.set(key, value)
      }
    }
  }

  private checkShown(client: Client): void {
    const from = this.checked.get(client.id) ?? 0
    for (let i = from; i < client.shown.length; i++) {
      const { n, seq } = client.shown[i]!
      const last = i === 0 ? 0 : this.highest(client, i)
      if (this.log.get(client.id)?.events[n - 1] !== seq) {
        throw new Violation("exactly once, in order", `${client.id} shows ${n} with seq ${seq}, which is not its own`)
      }
      if (client.remembers && n <= last) {
        throw new Violation("exactly once, in order", `${client.id} shows ${n} after ${last}`)
      }
      for (let missing = last + 1; missing < n; missing++) this.checkTold(client, missing, n)
    }
    this.checked.set(client.id, client.shown.length)
  }

  /** That the client did not get result `n` before `next` must have been told. */
  private checkTold(client: Client, n: number, next: number): void {
    const seq = this.log.get(client.id)?.events[n - 1]
    if (seq === undefined) return
    if (client.losses.some(({ after, end, upTo }) => seq > after && (upTo === undefined ? seq < end : seq <= upTo)))
      return
    const rule = client.losses.length > 0 ? "what is missing was sent as lost" : "exactly once, in order"
    throw new Violation(rule, `${client.id} does not get ${n}, seq ${seq}, before ${next}`)
  }

  private highest(client: Client, before = client.shown.length): number {
    let highest = 0
    for (let i = 0; i < before; i++) highest = Math.max(highest, client.shown[i]!.n)
    return highest
  }

  /** Whatever lies before the commit is in the backlog, or its client has it. */
  private checkCommit(): void {
    const committed = this.world.routers.committed ?? 0
    while (this.committed < committed) this.checkLeftBehind(this.committed++)
  }

  private checkLeftBehind(offset: number): void {
    const { key, value } = this.world.parts.results.at(offset)
    const seq = peekSeq(value)
    if (this.spilled.has(`${key} ${seq}`)) return
    const client = this.world.clients.find(({ id }) => id === key)
    if (client?.shown.some((shown) => shown.seq === seq) === true) return
    throw new Violation("the commit never skips", `${key} ${seq}, result ${offset}, is neither shown nor spilled`)
  }

  private checkEpochs(): void {
    const { registry } = this.world.parts
    if (registry.faults !== this.registryFaults) this.epochs.clear()
    this.registryFaults = registry.faults
    for (const [clientId, status] of registry.statuses) {
      const { epoch, pod } = status
      const before = this.epochs.get(clientId)
      if (before !== undefined && (epoch < before.epoch || (epoch === before.epoch && pod !== before.pod))) {
        throw new Violation("epochs never fall", `${clientId} from ${before.pod}/${before.epoch} to ${pod}/${epoch}`)
      }
      if (epoch < this.world.started_ms)
        throw new Violation("epochs never fall", `${clientId} to ${epoch}, before time`)
      this.epochs.set(clientId, status)
    }
  }

  /** A pod never uses an epoch of its own twice for a client. */
  private checkSessions(): void {
    for (const connection of this.world.connections) {
      const { name } = connection
      const other = this.sessions.get(name)
      if (other === undefined) this.sessions.set(name, connection)
      else if (other !== connection) throw new Violation("an epoch is used once", `${name} is there twice`)
    }
  }

  private checkBounds(): void {
    const { router, session } = this.world.parts.limits
    for (const { name, session: core, unacked } of this.world.connections) {
      bound(`${name}: results not acknowledged`, unacked.length, session.window_results)
      bound(`${name}: window`, core.window.results, session.window_results)
      bound(`${name}: held`, core.held.results, session.held_results)
    }
    for (const { name, router: core } of this.world.routers.workers) {
      bound(`${name}: in flight`, core.inflight, router.inflight_results)
      bound(`${name}: routes`, core.routes.size, router.routes)
    }
  }
}

const everything = { results: Infinity, bytes: Infinity }

const bound = (what: string, size: number, limit: number): void => {
  if (size > limit) throw new Violation("bounds", `${what}: ${size} of ${limit}`)
}
