/**
 * The faults that a run may have, as a table: each begins at a moment and most end after a while. A plan is a list of
 * them, made from the seed; a run with a part of its plan is a run as well, so that failures can be shrunk.
 */
import { Dice } from "@nimbus/domain/testing/dice"
import type { Line } from "./Line.ts"
import type { Machine } from "./Machine.ts"
import { roles } from "./Production.ts"
import type { World } from "./World.ts"

/** Begins; answers how it ends. `for_ms`: how long it is to last. */
type Begin = (world: World, dice: Dice, for_ms: number) => (() => void) | void

const crash =
  (machines: (world: World) => ReadonlyArray<Machine>): Begin =>
  (world, dice, for_ms) => {
    const machine = dice.pick(machines(world))
    if (machine?.crash(for_ms) === true) world.trace.count(`fault: ${kindOf(machine)} crashes`)
  }

const freeze =
  (machines: (world: World) => ReadonlyArray<Machine>): Begin =>
  (world, dice, for_ms) => {
    const machine = dice.pick(machines(world))
    const process = machine?.running
    if (machine?.freeze(for_ms) !== true) return
    world.trace.count(`fault: ${kindOf(machine)} freezes`)
    return () => process?.thaw()
  }

const kindOf = ({ name }: Machine): string => name.replace(/^c\d+$/, "client").replace(/-\d+$/, "")

const away =
  (line: (world: World) => Line): Begin =>
  (world) => {
    line(world).isAway = true
    return () => {
      line(world).isAway = false
    }
  }

const flaky =
  (line: (world: World) => Line): Begin =>
  (world, dice) => {
    const of = line(world)
    of.refuses_one_in = dice.below(6) + 2
    of.losesAnswer_one_in = dice.below(6) + 2
    return () => {
      of.refuses_one_in = 0
      of.losesAnswer_one_in = 0
    }
  }

const slow =
  (line: (world: World) => Line): Begin =>
  (world, dice) => {
    const of = line(world)
    of.slowness = dice.oneOf([10, 50, 200])
    return () => {
      of.slowness = 1
    }
  }

const lossy =
  (channel: (world: World) => World["pods"] | World["acks"]): Begin =>
  (world, dice) => {
    const of = channel(world)
    of.loses_one_in = dice.upTo(4)
    of.repeats_one_in = dice.upTo(4)
    of.delays_one_in = dice.upTo(4)
    return () => {
      of.loses_one_in = 0
      of.repeats_one_in = 0
      of.delays_one_in = 0
    }
  }

const consumers = (world: World) => [
  ...world.machines["event-consumer"],
  ...world.machines["result-consumer"],
  ...world.machines["replay-consumer"],
]
const clients = (world: World) => world.clients.map(({ machine }) => machine)

const cut =
  (halfOpen: boolean, name: string): Begin =>
  (world) => {
    if (world.network.cut(halfOpen)) world.trace.count(`fault: ${name}`)
  }

const counted = (world: World, name: string, what: () => void): void => {
  world.trace.say("fault", () => name)
  world.trace.count(`fault: ${name}`)
  what()
}

const general = {
  "event consumers crash": crash((world) => world.machines["event-consumer"]),
  "result consumers crash": crash((world) => world.machines["result-consumer"]),
  "replay consumers crash": crash((world) => world.machines["replay-consumer"]),
  "status manager crashes": crash((world) => world.machines["status-manager"]),
  "gateways crash": crash((world) => world.gateways),
  /** At any moment, or just as it sends something. */
  "clients crash": (world, dice, for_ms) => {
    if (dice.oneIn(2)) return crash(clients)(world, dice, for_ms)
    const client = dice.pick(world.clients)
    if (client === undefined) return
    client.application.onWant = () => {
      world.kernel.after(dice.below(5), () => {
        if (client.machine.crash(for_ms)) world.trace.count("fault: client crashes")
      })
    }
    return () => {
      client.application.onWant = undefined
    }
  },
  "parts restart": (world, dice, for_ms) => {
    const machine = dice.pick(world.allMachines)
    if (machine?.stop(for_ms) === true) world.trace.count(`fault: ${kindOf(machine)} restarts`)
  },
  "consumers freeze": freeze(consumers),
  "gateways freeze": freeze((world) => world.gateways),
  "clients stall": freeze(clients),
  "clocks differ": (world, dice) => {
    const process = dice.pick(world.allMachines)?.running
    if (process === undefined) return
    process.ahead_ms = dice.oneOf([-3_600_000, -2_000, 2_000, 3_600_000])
    world.trace.say(process.name, () => `has a clock that is ${process.ahead_ms} ms ahead`)
    world.trace.count("fault: a clock is wrong")
    return () => {
      process.ahead_ms = 0
    }
  },
  "partitions move": (world, dice) => {
    if (dice.pick(world.log.allGroups)?.move() === true) world.trace.count("fault: a partition moves")
  },
  "zombies go on": (world, dice) => {
    const groups = world.log.allGroups
    for (const group of groups) group.zombie_ms = 3_000
    dice.pick(groups)?.move()
    return () => {
      for (const group of groups) group.zombie_ms = 0
    }
  },
  "backlog retained shortly": (world, dice) =>
    counted(world, "the backlog loses its oldest", () => {
      for (let partition = 0; partition < world.log.partitions; partition++) {
        world.retain(partition, dice.upTo(4) / 4)
      }
    }),
  "results retained shortly": (world, dice) =>
    counted(world, "the results lose their oldest", () => {
      for (let partition = 0; partition < world.log.partitions; partition++) {
        world.retainResults(partition, dice.upTo(4) / 4)
      }
    }),
  "metadata lost": (world, dice) => {
    const groups = world.log.allGroups
    for (const group of groups) group.losesMetadata_one_in = dice.upTo(3)
    return () => {
      for (const group of groups) group.losesMetadata_one_in = 0
    }
  },
  "log away": away((world) => world.log.line),
  "log flaky": flaky((world) => world.log.line),
  "log slow": slow((world) => world.log.line),
  "publishes late": (world, dice) => {
    world.log.appendsLate_one_in = dice.upTo(4)
    return () => {
      world.log.appendsLate_one_in = 0
    }
  },
  "mailboxes away": away((world) => world.mailboxes.line),
  "mailboxes flaky": flaky((world) => world.mailboxes.line),
  "mailboxes slow": slow((world) => world.mailboxes.line),
  "mailboxes roll back": (world, dice) =>
    counted(world, "the mailboxes roll back", () => world.mailboxes.rollBack(dice)),
  "mailboxes wiped": (world) => counted(world, "the mailboxes are wiped", () => world.mailboxes.wipe()),
  "registry away": away((world) => world.registry.line),
  "registry flaky": flaky((world) => world.registry.line),
  "registry slow": slow((world) => world.registry.line),
  "registry rolls back": (world, dice) =>
    counted(world, "the registry rolls back", () => world.registry.rollBack(dice)),
  "registry wiped": (world) => counted(world, "the registry is wiped", () => world.wipeRegistry()),
  "stale reads": (world, dice) => {
    world.registry.readsStale_one_in = dice.upTo(3)
    return () => {
      world.registry.readsStale_one_in = 0
    }
  },
  "pod channel lossy": lossy((world) => world.pods),
  "pod channel slow": slow((world) => world.pods.line),
  "pods deaf": (world) => {
    world.pods.isDeaf = true
    return () => {
      world.pods.isDeaf = false
    }
  },
  "ack channel lossy": lossy((world) => world.acks),
  "ack channel slow": slow((world) => world.acks.line),
  "sockets cut": cut(false, "a socket breaks"),
  "sockets half open": cut(true, "a socket is half open"),
  "network stalls": (world) => {
    world.trace.count("fault: the network stalls")
    world.network.isStalled = true
    return () => {
      world.network.isStalled = false
    }
  },
  "clients never ack": (world, dice, for_ms) => {
    const application = dice.pick(world.clients)?.application
    if (application !== undefined) application.busyUntil_ms = world.kernel.now_ms + for_ms
    return () => {
      if (application !== undefined) application.busyUntil_ms = 0
    }
  },
  /** Some at once, and the client itself may have to come back just then. */
  intruders: (world, dice, for_ms) => {
    const application = dice.pick(world.clients)?.application
    if (application === undefined) return
    const { clientId } = application
    if (dice.oneIn(2)) world.network.cutOf(clientId)
    for (let i = dice.upTo(3); i > 0; i--) {
      world.kernel.after(dice.below(200), () => world.intrude(clientId, dice.upTo(for_ms)))
    }
  },
} satisfies Record<string, Begin>

/** Of runs with tasks, besides the others. */
const taskFaults = {
  "task workers crash": crash((world) => world.machines["task-worker"]),
  "task workers restart": (world, dice, for_ms) => {
    const machine = dice.pick(world.machines["task-worker"])
    if (machine?.stop(for_ms) === true) world.trace.count("fault: task-worker restarts")
  },
  "task workers freeze": freeze((world) => world.machines["task-worker"]),
} satisfies Record<string, Begin>

const faults = { ...general, ...taskFaults }

export type FaultName = keyof typeof faults

const isFaultName = (name: string): name is FaultName => Object.hasOwn(faults, name)

export const faultNames: ReadonlyArray<FaultName> = Object.keys(faults).filter(isFaultName)

export const isOfTasks = (name: FaultName): boolean => Object.hasOwn(taskFaults, name)

/** What a run of many seeds must have counted, or its faults did nothing. */
export const faultCounts = [
  ...[...roles, "gateway", "client"].flatMap((kind) => [`${kind} crashes`, `${kind} restarts`]),
  ...["event-consumer", "result-consumer", "replay-consumer", "task-worker", "gateway", "client"].map(
    (kind) => `${kind} freezes`,
  ),
  "a clock is wrong",
  "a partition moves",
  "a former owner goes on",
  "the metadata of a commit is lost",
  "a handler is slow",
  "the backlog loses its oldest",
  "the results lose their oldest",
  ...["log", "mailboxes", "registry"].flatMap((line) => [
    `${line} away`,
    `${line} refuses`,
    `${line} loses answers`,
    `${line} slow`,
  ]),
  "a publish comes late",
  "the mailboxes roll back",
  "the mailboxes are wiped",
  "the registry rolls back",
  "the registry is wiped",
  "a stale read",
  ...["pod channel", "ack channel"].flatMap((channel) => [
    `${channel} loses`,
    `${channel} repeats`,
    `${channel} delays`,
    `${channel} slow`,
  ]),
  "pod channel deaf",
  "a socket breaks",
  "a socket is half open",
  "the network stalls",
  "a client does not acknowledge",
  "an intruder connects",
].map((name) => `fault: ${name}`)

/** Rules of the protocol that many seeds must have met. */
export const ruleCounts = [
  ...[
    "a session",
    "a session of direct delivery",
    "a barrier",
    "a push",
    "an event comes twice",
    "a commit by a former owner is refused",
    "a commit says what is finished above it",
    "a handler's time was over",
    "an event whose name no handler has",
    "a client is told lost",
    "a client is told lost, range unknown",
    "a silent member loses its partitions",
    "a put finds another offset",
    "a write of an older session is refused",
    "the sweep finds mail",
    "pod channel drops what is beyond its bound",
    "a task",
    "a task's next attempt",
    "a task's next attempt, behind parts",
    "a task's begin, too late",
    "a task's part, too late",
    "a task's end, too late",
    "a task's cancel, too late",
    "a task's record is ignored: again",
    "a task's record is ignored: fenced",
    ...["done", "cancelled", "HANDLER_FAILED", "HANDLER_TIMEOUT", "TASK_ATTEMPTS", "TASKS_FULL", "TASK_EXPIRED"].map(
      (end) => `a task ends: ${end}`,
    ),
  ].map((name) => `rule: ${name}`),
  ...["barrier", "nack", "unreceived", "ack-timeout", "client-full", "router-full"].map(
    (reason) => `metric: nimbus_router_diverted_total ${reason}`,
  ),
  ...[
    "nimbus_router_repeats_total",
    "nimbus_mailbox_rewinds_total",
    "nimbus_gateway_nacks_total",
    "nimbus_gateway_superseded_total",
    "nimbus_gateway_barriers_again_total",
    "nimbus_pipeline_restarts_total event-consumer",
    "nimbus_pipeline_restarts_total result-consumer",
    "nimbus_pipeline_restarts_total replay-consumer",
  ].map((name) => `metric: ${name}`),
]

export interface Fault {
  readonly name: FaultName
  /** After the start. */
  readonly at_ms: number
  readonly for_ms: number
  /** For what else is to be chosen. */
  readonly choice: number
}

/** From then on there are no more faults. */
export const faultsEnd_ms = 15_000
const max_faults = 16

/** The faults of a run: some kinds of them, several of each. */
export const planOf = (dice: Dice, names: ReadonlyArray<FaultName>): ReadonlyArray<Fault> => {
  const kinds = names.filter(() => dice.oneIn(3))
  const all = kinds.length === 0 ? names : kinds
  if (all.length === 0) return []
  return Array.from({ length: dice.upTo(max_faults) }, () => ({
    name: all[dice.below(all.length)]!,
    at_ms: 200 + dice.below(faultsEnd_ms - 1_000),
    for_ms: dice.oneIn(3) ? 1_000 + dice.below(6_000) : 50 + dice.below(1_000),
    choice: dice.next(),
  })).toSorted((a, b) => a.at_ms - b.at_ms)
}

/** Sets a plan going. Answers how to end whatever is still on. */
export const schedule = (world: World, plan: ReadonlyArray<Fault>): (() => void) => {
  const under_way = new Set<() => void>()
  for (const { at_ms, choice, for_ms, name } of plan) {
    world.kernel.after(at_ms, () => {
      world.trace.say("fault", () => `${name}, ${for_ms} ms`)
      const end = faults[name](world, new Dice(choice), for_ms)
      if (end === undefined) return
      const ending = (): void => {
        if (!under_way.delete(ending)) return
        world.trace.say("fault", () => `${name} is over`)
        end()
      }
      under_way.add(ending)
      world.kernel.after(for_ms, ending)
    })
  }
  return () => {
    for (const end of under_way) end()
  }
}

export const describe = ({ at_ms, for_ms, name }: Fault): string =>
  `${(at_ms / 1000).toFixed(3)} s: ${name}, ${for_ms} ms`
