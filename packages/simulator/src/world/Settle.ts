/** Lets a world come to rest: no more faults, everything goes on in turn. Bounded: a world that does not come to rest is wrong. */
import { passTime } from "./Actions.ts"
import { Violation } from "./Checks.ts"
import type { Client } from "./Client.ts"
import type { Did } from "./Parts.ts"
import type { World } from "./World.ts"

const max_rounds = 120
const max_turns = 400
const sweep_every_rounds = 4

type Tell = (did: Did) => void

/** Ends all faults and runs until every client is LIVE with nothing under way. `tell` hears of each thing done. */
export const settle = (world: World, tell: Tell): void => {
  endFaults(world)
  calm(world, tell, max_rounds)
  const why = unsettled(world)
  if (why !== undefined) throw new Violation("it settles", `${why} after ${max_rounds} rounds`)
}

const busy_rounds = 30
const steady_rounds = 10
const turns_a_round = 40
const send_every_turns = 4
/** At first time passes so fast that barriers come back late, and are sent again meanwhile. */
const hasty_rounds = 3
const hasty_turns = 8

/**
 * Ends all faults while every client goes on sending, no faster than it acknowledges: it becomes LIVE and stays so, and no
 * barriers come any more. Everything goes on at once, one step in a turn, so that a push is sooner there than what takes
 * the way through the mailbox.
 */
export const settleUnderTraffic = (world: World, tell: Tell): void => {
  endFaults(world)
  for (let round = 1; round <= busy_rounds; round++) {
    connectAll(world, tell, 0)
    const from = world.parts.events.end
    for (let turn = 0; turn < turns_a_round; turn++) {
      if (turn % send_every_turns === 0) for (const client of world.clients) tell(client.send())
      for (const go of turnsBackwards) tell(go(world))
      if (round <= hasty_rounds && turn % hasty_turns === 0) tell(passTime(world))
    }
    if (round > busy_rounds - steady_rounds) checkSteady(world, from)
    tell(passTime(world))
    if (round % sweep_every_rounds === 0) sweep(world, tell)
  }
}

const checkSteady = (world: World, from: number): void => {
  for (let seq = from; seq < world.parts.events.end; seq++) {
    const { key, value } = world.parts.events.at(seq)
    if (value._tag === "Barrier") throw new Violation("it settles", `${key} still sends barriers: ${value.number}`)
  }
  for (const { name, session } of world.connections) {
    if (session.status !== "LIVE") throw new Violation("it settles", `${name} is ${session.status} under traffic`)
  }
}

const endFaults = (world: World): void => {
  for (const { zombies } of [world.eventWorkers, world.routers, world.replays]) zombies.length = 0
  for (const { pod } of world.gateways) world.parts.pods.deafen(pod, false)
}

const connectAll = (world: World, tell: Tell, at: number): void => {
  for (const client of world.clients) {
    if (!client.isConnected) tell(world.connect(client, world.gateways[at % world.gateways.length]!))
  }
}

/** A while without new faults, until the world is at rest. Zombies pause, and deaf pods stay deaf. */
export const calm = (world: World, tell: Tell, rounds: number): void => {
  for (let round = 1; round <= rounds; round++) {
    connectAll(world, tell, round)
    drain(world, tell)
    if (unsettled(world) === undefined) return
    tell(passTime(world))
    if (round % sweep_every_rounds === 0) sweep(world, tell)
  }
}

const sweep = (world: World, tell: Tell): void => {
  for (const connection of world.connections) {
    if (connection.socket.isOpen) tell(connection.sweep())
    else connection.closed()
  }
}

/** Everything that can go on without time passing. */
const drain = (world: World, tell: Tell): void => {
  for (let turn = 0; turn < max_turns; turn++) {
    let isBusy = false
    for (const go of turns) {
      const did = go(world)
      if (did === undefined) continue
      isBusy = true
      tell(did)
    }
    if (!isBusy) return
  }
  throw new Violation("it settles", `${unsettled(world)} after ${max_turns} turns without time passing`)
}

const first = <A>(all: ReadonlyArray<A>, f: (a: A) => Did): Did => {
  for (const one of all) {
    const did = f(one)
    if (did !== undefined) return did
  }
  return undefined
}

const turns: ReadonlyArray<(world: World) => Did> = [
  (w) => w.appendBarrier(0),
  (w) => w.eventWorkers.owner.take(3),
  (w) => w.eventWorkers.owner.takeAgain(),
  (w) => w.eventWorkers.owner.end(),
  (w) => w.eventWorkers.owner.produce(3),
  (w) => w.eventWorkers.owner.confirm() ?? w.eventWorkers.owner.append(),
  (w) => w.routers.owner.read(3),
  (w) => w.routers.owner.hearUnreceived(),
  (w) => first(w.gateways, (gateway) => gateway.receive(0)),
  (w) => first(w.clients, (client) => client.take()),
  (w) => first(w.clients, (client) => client.ack()),
  (w) => first(w.connections, (connection) => connection.hear()),
  (w) => first(w.connections, (connection) => connection.drain()),
  (w) => w.hearAck(0, () => true),
  (w) => w.routers.owner.takeSpill(3),
  (w) => w.routers.owner.confirmSpill() ?? w.routers.owner.appendSpill(),
  (w) => w.commitResults(w.routers.owner),
  (w) => w.replays.owner.take(9),
  (w) => w.replays.owner.put(true),
  (w) => first(w.connections, (connection) => connection.readPage()),
  (w) => first(w.connections, (connection) => connection.pageArrives()),
  (w) => w.trim(0),
  (w) => w.register(0),
]

/** So that nothing goes two steps in a turn. */
const turnsBackwards = turns.toReversed()

/** What is not at rest yet, in words. */
export const unsettled = (world: World): string | undefined => {
  const { router, isIdle } = world.routers.owner
  if (!isIdle || router.inflight > 0) return `${world.routers.owner.name} is busy`
  for (const connection of world.connections) {
    if (!connection.socket.isOpen) return `${connection.name} has lost its client`
  }
  for (const client of world.clients) {
    const why = unsettledClient(world, client)
    if (why !== undefined) return why
  }
  return undefined
}

const unsettledClient = (world: World, client: Client): string | undefined => {
  const session = world.connectionOf(client)?.session
  if (session === undefined) return `${client.id} is not connected`
  if (session.status !== "LIVE" || client.status !== "LIVE") return `${client.id} is ${session.status}`
  if (session.window.results > 0 || session.held.results > 0) return `${client.id} has results under way`
  const status = world.parts.registry.statuses.get(client.id)
  if (status?._tag !== "LIVE" || status.epoch !== session.epoch || status.pod !== session.pod) {
    return `the registry has ${client.id} ${status?._tag} at ${status?.pod}/${status?.epoch}`
  }
  const { records } = world.parts.mailbox.page(client.id, session.delivered, { results: 1, bytes: 1 })
  if (records.length > 0) return `${client.id} has mail`
  return undefined
}
