/**
 * Everything that can happen in a world, as a table: what goes on by itself, and faults. One number decides which, and
 * all that has to be chosen within it.
 */
import type { Dice } from "@nimbus/domain/testing/dice"
import type { Channel } from "./Channel.ts"
import type { Group } from "./Group.ts"
import type { Did } from "./Parts.ts"
import type { World } from "./World.ts"

/** Groups of faults, each of which a run has or has not. */
export const faultNames = [
  "sockets",
  "gateways",
  "event workers",
  "routers",
  "returning routers",
  "replays",
  "lost datagrams",
  "repeated datagrams",
  "deaf pods",
  "mailbox",
  "registry",
  "time",
] as const
export type FaultName = (typeof faultNames)[number]

interface Action {
  readonly fault?: FaultName
  /** How often, against the others. */
  readonly weight: number
  readonly run: (world: World, dice: Dice) => Did
}

/** Events that one client sends while dice are thrown. */
const max_events = 12

const anyOf = (dice: Dice, channel: Channel<unknown>): number => (channel.size === 0 ? 0 : dice.below(channel.size))

/** The owner more often than a zombie, so that zombies fall behind. */
const workerOf = <W>({ owner, zombies }: Group<W, unknown>, dice: Dice): W =>
  dice.oneIn(4) ? (dice.pick(zombies) ?? owner) : owner

const eventWorker = (world: World, dice: Dice) => workerOf(world.eventWorkers, dice)
const router = (world: World, dice: Dice) => workerOf(world.routers, dice)
const replay = (world: World, dice: Dice) => workerOf(world.replays, dice)
const gateway = (world: World, dice: Dice) => dice.pick(world.gateways)
const connection = (world: World, dice: Dice) => dice.pick(world.connections)
const client = (world: World, dice: Dice) => dice.pick(world.clients)

const goings: ReadonlyArray<Action> = [
  { weight: 3, run: (w, d) => sends(w, d) },
  { weight: 10, run: (w, d) => connects(w, d) },
  { weight: 16, run: (w, d) => client(w, d)?.take() },
  { weight: 8, run: (w, d) => client(w, d)?.ack() },
  { weight: 8, run: (w, d) => connection(w, d)?.hear() },
  { weight: 4, run: (w, d) => connection(w, d)?.drain() },
  { weight: 10, run: (w, d) => connection(w, d)?.readPage() },
  { weight: 10, run: (w, d) => connection(w, d)?.pageArrives() },
  { weight: 8, run: (w, d) => w.appendBarrier(anyOf(d, w.parts.barriers)) },
  { weight: 6, run: (w, d) => eventWorker(w, d).take(d.upTo(3)) },
  { weight: 3, run: (w, d) => eventWorker(w, d).takeAgain() },
  { weight: 8, run: (w, d) => eventWorker(w, d).end(d.below(2)) },
  { weight: 7, run: (w, d) => eventWorker(w, d).produce(d.upTo(3)) },
  { weight: 6, run: (w, d) => eventWorker(w, d).append(d.below(2)) },
  { weight: 6, run: (w, d) => eventWorker(w, d).confirm(d.below(2)) },
  { weight: 6, run: (w) => w.commitEvents(w.eventWorkers.owner) },
  { weight: 14, run: (w, d) => router(w, d).read(d.upTo(3)) },
  { weight: 4, run: (w, d) => router(w, d).hearUnreceived() },
  { weight: 7, run: (w, d) => router(w, d).takeSpill(d.upTo(3)) },
  { weight: 7, run: (w, d) => router(w, d).appendSpill() },
  { weight: 7, run: (w, d) => router(w, d).confirmSpill() },
  { weight: 3, run: (w, d) => w.commitResults(router(w, d)) },
  { weight: 10, run: (w, d) => w.hearAck(anyOf(d, w.parts.acks), () => true) },
  { weight: 9, run: (w, d) => replay(w, d).take(d.upTo(3)) },
  { weight: 9, run: (w, d) => replay(w, d).put(true) },
  { weight: 20, run: (w, d) => receives(w, d) },
  { weight: 4, run: (w, d) => w.trim(anyOf(d, w.parts.trims)) },
  { weight: 4, run: (w, d) => w.register(anyOf(d, w.parts.presences)) },
  { weight: 2, run: (w, d) => connection(w, d)?.sweep() },
  { weight: 3, run: (w, d) => noticesDeadSocket(w, d) },
  { weight: 3, run: (w) => passTime(w) },
]

const faults: ReadonlyArray<Action> = [
  { fault: "sockets", weight: 4, run: (w, d) => client(w, d)?.drop() },
  { fault: "gateways", weight: 1, run: (w, d) => crashesGateway(w, d) },
  { fault: "event workers", weight: 4, run: (w, d) => w.replaceEventWorker(!d.oneIn(4)) },
  { fault: "routers", weight: 4, run: (w) => w.replaceRouter() },
  { fault: "returning routers", weight: 4, run: (w, d) => returnsRouter(w, d) },
  { fault: "replays", weight: 3, run: (w) => w.replaceReplay() },
  { fault: "replays", weight: 3, run: (w, d) => replay(w, d).put(false) },
  { fault: "lost datagrams", weight: 6, run: (w, d) => losesMessage(w, d) },
  { fault: "lost datagrams", weight: 8, run: (w, d) => w.hearAck(anyOf(d, w.parts.acks), () => d.oneIn(3)) },
  { fault: "lost datagrams", weight: 3, run: (w, d) => losesUpstream(w, d) },
  { fault: "repeated datagrams", weight: 8, run: (w, d) => repeatsMessage(w, d) },
  { fault: "deaf pods", weight: 3, run: (w, d) => deafens(w, d) },
  { fault: "mailbox", weight: 2, run: (w) => (w.parts.mailbox.backUp(), "the mailboxes are backed up") },
  { fault: "mailbox", weight: 1, run: (w) => (w.parts.mailbox.rollBack(), "the mailboxes roll back") },
  { fault: "mailbox", weight: 2, run: (w, d) => connection(w, d)?.pageFails() },
  { fault: "registry", weight: 2, run: (w) => (w.parts.registry.backUp(), "the registry is backed up") },
  { fault: "registry", weight: 1, run: (w) => (w.parts.registry.rollBack(), "the registry rolls back") },
  { fault: "registry", weight: 1, run: (w) => (w.parts.registry.wipe(), "the registry is wiped") },
  { fault: "time", weight: 6, run: (w) => passTime(w) },
]

/** The retention of the backlog, on top: what goes is lost, and must be told. */
const retention: Action = { weight: 2, run: (w, d) => retains(w, d) }

/** All that goes on, the faults among `allowed`, and retention. */
export const actionsWith = (allowed: ReadonlySet<FaultName>, withRetention: boolean): ReadonlyArray<Action> => [
  ...goings,
  ...faults.filter(({ fault }) => fault !== undefined && allowed.has(fault)),
  ...(withRetention ? [retention] : []),
]

/** Does one thing: picked by weight, and picked again where there was nothing to do. */
export const act = (world: World, actions: ReadonlyArray<Action>, dice: Dice): Did => {
  const total = actions.reduce((sum, { weight }) => sum + weight, 0)
  for (let tries = 0; tries < max_tries; tries++) {
    let at = dice.below(total)
    const did = actions.find(({ weight }) => (at -= weight) < 0)?.run(world, dice)
    if (did !== undefined) return did
  }
  return undefined
}

const max_tries = 8

const sends = (world: World, dice: Dice): Did => {
  const some = client(world, dice)
  return some === undefined || some.sent >= max_events ? undefined : some.send()
}

const connects = (world: World, dice: Dice): Did => {
  const some = client(world, dice)
  const to = gateway(world, dice)
  return some === undefined || to === undefined || some.isConnected ? undefined : world.connect(some, to)
}

const receives = (world: World, dice: Dice): Did => {
  const some = gateway(world, dice)
  return some?.receive(anyOf(dice, some.inbox))
}

const noticesDeadSocket = (world: World, dice: Dice): Did => {
  const dead = dice.pick(world.connections.filter(({ socket }) => !socket.isOpen))
  dead?.closed()
  return dead && `${dead.session.pod} notices that ${dead.name} is gone`
}

export const passTime = (world: World): Did => {
  world.now_ms++
  for (const some of world.connections) some.tick()
  for (const some of world.routers.workers) some.pass()
  return "time passes"
}

const crashesGateway = (world: World, dice: Dice): Did => {
  const some = gateway(world, dice)
  return some && world.crashGateway(some, dice.below(4))
}

const returnsRouter = (world: World, dice: Dice): Did => {
  const zombie = dice.pick(world.routers.zombies)
  return zombie && world.restoreRouter(zombie, dice.oneIn(2) ? "own position" : "commit")
}

const losesMessage = (world: World, dice: Dice): Did => {
  const inbox = gateway(world, dice)?.inbox
  const lost = inbox?.take(anyOf(dice, inbox))
  return lost && `${lost._tag} ${lost.clientId}${lost._tag === "Push" ? ` ${lost.prev}→${lost.seq}` : ""} is lost`
}

const repeatsMessage = (world: World, dice: Dice): Did => {
  const inbox = gateway(world, dice)?.inbox
  const repeated = inbox?.repeat(anyOf(dice, inbox))
  return repeated && `${repeated._tag} ${repeated.clientId} comes twice`
}

const losesUpstream = (world: World, dice: Dice): Did => {
  const { acks, barriers, presences, trims } = world.parts
  const channel = dice.pick<Channel<unknown>>([acks, barriers, presences, trims])
  if (channel === undefined || channel.size === 0) return undefined
  channel.take(anyOf(dice, channel))
  return `an ${channel === acks ? "ack" : channel === barriers ? "unsent barrier" : "update of a store"} is lost`
}

const deafens = (world: World, dice: Dice): Did => {
  const pod = gateway(world, dice)?.pod
  const isDeaf = dice.oneIn(2)
  if (pod !== undefined) world.parts.pods.deafen(pod, isDeaf)
  return pod && `${pod} ${isDeaf ? "is deaf" : "listens"}`
}

const retains = (world: World, dice: Dice): Did => {
  const { dlq } = world.parts
  if (dlq.earliest === dlq.end) return undefined
  dlq.retain(dlq.earliest + dice.upTo(3))
  return `the backlog begins at ${dlq.earliest}`
}
