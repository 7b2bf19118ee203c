/**
 * What broke earlier drafts of the protocol, as scripts for the world of this folder. Each runs with the rule that
 * guards it, and again with that rule taken out of the sources, when it must fail in the way that is told.
 */
import { assert, describe, it } from "@effect/vitest"
import { load, type WorldModule } from "../mutants/Mutant.ts"
import { type RuleName, rules } from "../mutants/rules.ts"
import * as Real from "./index.ts"

interface Scenario {
  readonly words: string
  readonly rule: RuleName
  /** What is violated without the rule, and a part of how it is told. */
  readonly violates: Real.Rule
  readonly telling: string
  readonly limits?: Partial<Real.WorldLimits["session"]>
  /** c1 among them. Default: it is alone. */
  readonly clients?: number
  readonly script: (stage: Stage) => void
}

/** A world with one client, or few, and two gateways in which nothing is tight, and the steps that scripts are made of. */
class Stage {
  readonly world: Real.World
  readonly c1: Real.Client
  private readonly module: WorldModule
  private readonly checks: Real.Checks

  constructor(module: WorldModule, { clients = 1, limits }: Pick<Scenario, "clients" | "limits"> = {}) {
    const { mailbox, order, router, session } = module.tightLimits
    this.module = module
    this.world = new module.World({
      limits: {
        order: { ...order, partition_records: 99, span_records: 99 },
        router: { ...router, inflight_results_per_client: 9, inflight_results: 9 },
        session: { ...session, window_results: 9, held_results: 9, page_results: 9, ...limits },
        mailbox,
        socket_frames: 99,
      },
      clients: Array.from({ length: clients }, () => true),
      gateways: 2,
    })
    this.checks = new module.Checks(this.world)
    this.c1 = this.world.clients[0]!
  }

  get near() {
    return this.world.gateways[0]!
  }

  get far() {
    return this.world.gateways[1]!
  }

  get connection() {
    return this.world.connectionOf(this.c1)!
  }

  /** This happened, and nothing is violated. */
  did(...steps: ReadonlyArray<string | undefined>): void {
    for (const step of steps) assert.isDefined(step)
    this.checks.step()
  }

  /** Does something until there is nothing left to do. */
  all(step: () => string | undefined): void {
    for (let times = 0; times < 100 && step() !== undefined; times++) this.checks.step()
  }

  /** c1 is LIVE at the near gateway; all is quiet and committed. */
  live(): void {
    this.did(this.world.connect(this.c1, this.near))
    this.rest()
    assert.strictEqual(this.connection.session.status, "LIVE")
  }

  /** Everything goes on until all is quiet. Zombies do nothing meanwhile. */
  rest(): void {
    this.module.calm(this.world, () => this.checks.step(), 60)
    const why = this.module.unsettled(this.world)
    if (why !== undefined) throw new this.module.Violation("it settles", why)
  }

  /** Events and barriers pass the event consumer. */
  work(): void {
    this.all(() => this.world.appendBarrier(0))
    const { owner } = this.world.eventWorkers
    this.all(() => owner.take(9) ?? owner.takeAgain() ?? owner.end())
    this.did(owner.produce(9), owner.append(), owner.confirm())
  }

  /** c1 sends one event after another; their results are in the results topic. */
  send(count = 1): void {
    for (let i = 0; i < count; i++) this.did(this.c1.send())
    this.work()
  }

  /** What the router has spilled gets into the mailbox; its Mail is under way. */
  spill(router = this.world.routers.owner): void {
    this.did(router.takeSpill(9), router.appendSpill(), router.confirmSpill())
    const { owner } = this.world.replays
    this.all(() => owner.take(9) ?? owner.put(true))
  }

  readMailbox(connection = this.connection): void {
    this.did(connection.readPage(), connection.pageArrives())
  }

  /** c1 reads all that its gateway has sent. */
  show(): void {
    this.all(() => this.c1.take())
  }

  /** No more faults, and c1 goes on sending. */
  traffic(): void {
    this.module.settleUnderTraffic(this.world, () => this.checks.step())
  }

  /** No more faults: everyone gets everything and is LIVE, and so once more. */
  end(): void {
    const heard = () => this.checks.step()
    this.module.settle(this.world, heard)
    this.did(this.c1.send())
    this.module.settle(this.world, heard)
    this.checks.settled()
    assert.deepStrictEqual(
      this.c1.shown.map(({ n }) => n),
      Array.from({ length: this.c1.sent }, (_, i) => i + 1),
    )
  }
}

const scenarios: ReadonlyArray<Scenario> = [
  {
    words: "a push is lost while REPLAYING; a later one, held, is not delivered on LIVE without a look at its prev",
    rule: "heldPushesCheckPrev",
    violates: "exactly once, in order",
    telling: "c1 does not get 1",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.did(world.connect(c1, near))
      stage.readMailbox()
      stage.work()
      stage.send(2)
      stage.did(world.routers.owner.read(9))
      assert.strictEqual(near.inbox.size, 2)
      near.inbox.take()
      stage.did(near.receive(0))
      stage.spill()
      stage.did(near.receive(0))
      stage.readMailbox()
      stage.show()
      stage.end()
    },
  },
  {
    words: "a repeat of what was sent and not acknowledged is not acknowledged by the gateway; then the socket dies",
    rule: "onlyTheClientsAck",
    violates: "the commit never skips",
    telling: "is neither shown nor spilled",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.live()
      stage.send()
      stage.did(world.routers.owner.read(9))
      near.inbox.repeat(0)
      stage.did(near.receive(0), near.receive(0))
      stage.all(() => world.hearAck(0, () => true))
      stage.did(c1.drop())
      stage.end()
    },
  },
  {
    words: "one publish has no receiver; the next push to the same client does not pass over it",
    rule: "pushesCheckPrev",
    violates: "exactly once, in order",
    telling: "c1 does not get 1",
    script: (stage) => {
      const { near, world } = stage
      stage.live()
      world.parts.pods.deafen(near.pod, true)
      stage.send()
      stage.did(world.routers.owner.read(9))
      world.parts.pods.deafen(near.pod, false)
      stage.send()
      stage.did(world.routers.owner.read(9), near.receive(0))
      stage.show()
      stage.did(world.routers.owner.hearUnreceived())
      stage.end()
    },
  },
  {
    words:
      "a result is diverted, its backlog write committed, and the router crashes: its successor spills, not pushes",
    rule: "spillWithoutRoute",
    violates: "the commit never skips",
    telling: "is neither shown nor spilled",
    script: (stage) => {
      const { near, world } = stage
      stage.live()
      world.parts.pods.deafen(near.pod, true)
      stage.send()
      stage.did(world.routers.owner.read(9), world.routers.owner.hearUnreceived())
      stage.spill()
      stage.did(world.commitResults(world.routers.owner))
      world.parts.pods.deafen(near.pod, false)
      stage.did(world.replaceRouter())
      stage.send()
      stage.did(world.routers.owner.read(9))
      assert.strictEqual(world.routers.owner.router.routes.size, 0)
      assert.strictEqual(near.inbox.size, 0)
      stage.end()
    },
  },
  {
    words: "a zombie event consumer repeats a barrier late, and the router has just restarted",
    rule: "routeIds",
    violates: "a push states a fact",
    telling: "c1 0→2",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.did(world.connect(c1, near))
      stage.readMailbox()
      stage.all(() => world.appendBarrier(0))
      const zombie = world.eventWorkers.owner
      stage.did(zombie.take(9), zombie.produce(9), world.replaceEventWorker())
      stage.rest()
      stage.send()
      stage.rest()
      stage.did(world.replaceRouter(), zombie.append())
      stage.all(() => world.routers.owner.read(9))
      stage.send()
      stage.did(world.routers.owner.read(9))
      stage.end()
    },
  },
  {
    words: "a nack and a Mail are both lost; a LIVE client has mail: the sweep finds it",
    limits: { held_results: 1 },
    rule: "sweep",
    violates: "it settles",
    telling: "c1 has mail",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.did(world.connect(c1, near))
      stage.readMailbox()
      stage.work()
      stage.send(2)
      // Still REPLAYING: the first push is held, and there is no room for the second.
      stage.did(world.routers.owner.read(9), near.receive(0), near.receive(0))
      assert.strictEqual(world.parts.acks.take()?._tag, "Nack")
      stage.spill()
      stage.did(near.receive(0))
      stage.all(() => stage.connection.readPage() ?? stage.connection.pageArrives())
      assert.strictEqual(stage.connection.session.status, "LIVE")
      stage.show()
      stage.did(c1.ack(), stage.connection.hear())
      stage.all(() => world.hearAck(0, () => true))
      // The second is still in flight until it is late.
      for (let tick = 0; tick < 3; tick++) world.routers.owner.pass()
      stage.spill()
      assert.strictEqual(near.inbox.take()?._tag, "Mail")
      assert.strictEqual(stage.connection.session.status, "LIVE")
      // Another result would find it as well, by the gap; so there is none.
      stage.rest()
      assert.strictEqual(c1.shown.length, 2)
      stage.end()
    },
  },
  {
    words: "the registry loses its last write and an epoch is used twice; after that only the newest session delivers",
    rule: "sameEpochOtherPod",
    violates: "epochs never fall",
    telling: "/1001 to ",
    script: (stage) => {
      const { c1, far, near, world } = stage
      world.parts.registry.backUp()
      stage.did(world.connect(c1, far))
      const old = stage.connection
      world.parts.registry.rollBack()
      world.now_ms++
      stage.did(c1.drop(), world.connect(c1, near))
      assert.strictEqual(stage.connection.session.epoch, old.session.epoch)
      stage.readMailbox(old)
      stage.readMailbox()
      stage.work()
      stage.did(world.routers.owner.read(9))
      stage.spill()
      old.tick()
      old.tick()
      stage.readMailbox(old)
      assert.strictEqual(old.session.status, "REPLAYING", "with the other's barrier behind its own")
      stage.all(() => world.register(0))
      stage.did(old.isOpen ? old.sweep() : "superseded already")
      assert.isFalse(old.isOpen)
      assert.strictEqual(world.parts.registry.podOf(c1.id), near.pod)
      stage.end()
    },
  },
  {
    words: "the registry is wiped: epochs go on growing",
    rule: "epochsFromClock",
    violates: "epochs never fall",
    telling: "c1 to 1",
    script: (stage) => {
      const { c1, far, world } = stage
      stage.live()
      const old = stage.connection
      world.now_ms++
      world.parts.registry.wipe()
      stage.did(c1.drop(), world.connect(c1, far))
      assert.isAbove(stage.connection.session.epoch, old.session.epoch)
      stage.did(old.sweep())
      assert.isFalse(old.isOpen)
      stage.end()
    },
  },
  {
    words: "a zombie router and its successor both push and divert",
    rule: "repeats",
    violates: "exactly once, in order",
    telling: "c1 shows 1 after 1",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.live()
      stage.send()
      const zombie = world.routers.owner
      stage.did(zombie.read(9))
      near.inbox.repeat(0)
      stage.did(near.receive(0))
      stage.show()
      stage.did(world.replaceRouter(), world.routers.owner.read(9), near.receive(0))
      stage.show()
      for (const router of world.routers.workers) router.hear({ _tag: "Nack", clientId: c1.id })
      stage.spill(zombie)
      stage.spill()
      stage.send()
      stage.did(zombie.read(9), world.routers.owner.read(9))
      stage.spill()
      stage.spill(zombie)
      stage.all(() => near.receive(0))
      stage.end()
    },
  },
  {
    words: "the mailbox store loses puts that the backlog's committed offset has passed",
    rule: "offsetStored",
    violates: "exactly once, in order",
    telling: "c1 does not get 1",
    script: (stage) => {
      const { world } = stage
      world.parts.mailbox.backUp()
      for (const rollsBack of [true, false]) {
        stage.send()
        stage.did(world.routers.owner.read(9))
        stage.spill()
        if (rollsBack) world.parts.mailbox.rollBack()
      }
      stage.end()
    },
  },
  {
    words: "an owner loses a partition, another has it for a while, and it comes back to the commit",
    rule: "ownReadPosition",
    violates: "a push states a fact",
    telling: "c1 0→2",
    script: (stage) => {
      const { world } = stage
      stage.live()
      const first = world.routers.owner
      stage.did(world.replaceRouter())
      stage.send()
      spillsAndCommits(stage)
      stage.send()
      stage.did(world.restoreRouter(first, "commit"), first.read(9))
      assert.strictEqual(first.router.routes.size, 0)
      stage.end()
    },
  },
  {
    words: "the registry loses its last write while the clock stands; a pod uses no epoch of its own twice",
    rule: "epochsOfAPodGrow",
    violates: "an epoch is used once",
    telling: "c1@pod",
    script: (stage) => {
      const { c1, near, world } = stage
      world.parts.registry.backUp()
      stage.did(world.connect(c1, near))
      const old = stage.connection
      stage.readMailbox()
      stage.work()
      world.parts.registry.rollBack()
      stage.did(c1.drop(), world.connect(c1, near))
      assert.isAbove(stage.connection.session.epoch, old.session.epoch)
      stage.readMailbox()
      // The older one's barrier comes out: it is not the newer one's.
      stage.did(world.routers.owner.read(9))
      stage.spill()
      stage.connection.mail()
      stage.readMailbox()
      assert.strictEqual(stage.connection.session.status, "REPLAYING")
      stage.end()
    },
  },
  {
    words: "a slow event, and its client's barrier behind it: the barrier waits",
    rule: "barrierInItsTurn",
    violates: "the commit never skips",
    telling: "is neither shown nor spilled",
    script: (stage) => {
      const { c1, far, world } = stage
      stage.live()
      stage.did(c1.send(), world.connect(c1, far))
      stage.readMailbox()
      stage.did(world.appendBarrier(0))
      const { owner } = world.eventWorkers
      stage.did(owner.take(9))
      stage.all(() => owner.produce(9) ?? owner.append())
      stage.rest()
      stage.end()
    },
  },
  {
    words: "a second produce is sent while the first is under way, and comes before it: there is none",
    rule: "oneProduceUnderWay",
    violates: "a push states a fact",
    telling: "c1 0→2",
    script: (stage) => {
      const { c1, world } = stage
      stage.live()
      const { owner } = world.eventWorkers
      for (let i = 0; i < 2; i++) {
        stage.did(c1.send(), owner.take(9), owner.end())
        stage.all(() => owner.produce(9))
      }
      stage.did(owner.append(1) ?? owner.append(0))
      stage.all(() => world.routers.owner.read(9))
      stage.end()
    },
  },
  {
    words: "a commit says what is finished, not what is under way, and the consumer crashes",
    rule: "finishedIsAcknowledged",
    violates: "a push states a fact",
    telling: "c1 0→2",
    script: (stage) => {
      const { c1, world } = stage
      stage.live()
      const { owner } = world.eventWorkers
      stage.did(c1.send(), owner.take(9), owner.end(), owner.produce(9), world.commitEvents(owner))
      stage.did(world.replaceEventWorker())
      stage.end()
    },
  },
  {
    words: "a session reads its barrier while there are records behind it: it is not LIVE yet",
    rule: "liveAtTheEnd",
    violates: "LIVE is at the end of the mailbox",
    telling: "is LIVE by a page with 0 (a barrier), 1",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.did(world.connect(c1, near))
      stage.readMailbox()
      stage.work()
      world.parts.pods.deafen(near.pod, true)
      stage.send()
      stage.did(world.routers.owner.read(9), world.routers.owner.hearUnreceived())
      stage.spill()
      stage.connection.mail()
      stage.readMailbox()
      stage.end()
    },
  },
  {
    words: "the mailbox rolls back between two pages: the end of the second says nothing of the first",
    limits: { page_results: 1 },
    rule: "liveByOnePage",
    violates: "LIVE is at the end of the mailbox",
    telling: "is LIVE by a page with nothing",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.did(world.connect(c1, near))
      stage.readMailbox()
      stage.work()
      stage.did(world.routers.owner.read(9))
      stage.spill()
      world.parts.mailbox.backUp()
      world.parts.pods.deafen(near.pod, true)
      stage.send()
      stage.did(world.routers.owner.read(9), world.routers.owner.hearUnreceived())
      stage.spill()
      stage.connection.mail()
      stage.readMailbox()
      assert.strictEqual(stage.connection.session.delivered, 0)
      world.parts.mailbox.rollBack()
      stage.readMailbox()
      stage.end()
    },
  },
  {
    words: "barriers are published again, all come back, and results keep coming: their number does not grow",
    clients: 2,
    rule: "onlyTheNewestBarrier",
    violates: "it settles",
    telling: "c1 still sends barriers",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.did(world.connect(c1, near))
      stage.readMailbox()
      for (let tick = 0; tick < 3; tick++) stage.connection.tick()
      stage.traffic()
      stage.end()
    },
  },
  {
    words: "a handler runs again and ends otherwise: the mailbox keeps the first result",
    rule: "olderStays",
    violates: "a mailbox keeps the older",
    telling: "c1 0",
    script: (stage) => {
      const { c1, world } = stage
      const zombie = world.eventWorkers.owner
      stage.did(c1.send(), zombie.take(9), zombie.end(), zombie.produce(9), world.replaceEventWorker())
      const { owner } = world.eventWorkers
      stage.did(owner.take(9), owner.end(), owner.produce(9), owner.append(), zombie.append())
      for (let i = 0; i < 2; i++) {
        stage.did(world.routers.owner.read(1))
        stage.spill()
      }
      stage.end()
    },
  },
  {
    words: "an owner comes back to the commit, has forgotten its routes, and reads an old barrier once more",
    rule: "routeIdsOnce",
    violates: "a push states a fact",
    telling: "c1 0→2",
    script: (stage) => {
      const { c1, near, world } = stage
      stage.did(world.connect(c1, near))
      stage.readMailbox()
      stage.did(world.appendBarrier(0))
      const zombie = world.eventWorkers.owner
      stage.did(zombie.take(9), zombie.produce(9), world.replaceEventWorker())
      stage.rest()
      const first = world.routers.owner
      stage.did(world.replaceRouter())
      stage.send()
      spillsAndCommits(stage)
      stage.did(zombie.append(), world.restoreRouter(first, "commit"), first.read(9))
      stage.send()
      stage.did(first.read(9))
      stage.end()
    },
  },
]

/** The router's spill is in the backlog, and nobody has looked there yet. */
const spillsAndCommits = (stage: Stage): void => {
  const { owner } = stage.world.routers
  stage.did(owner.read(9), owner.takeSpill(9), owner.appendSpill(), owner.confirmSpill())
  stage.did(stage.world.commitResults(owner))
}

/** What a script throws, if it is a violation of the mutant's. */
const violationOf = (module: WorldModule, scenario: Scenario): Real.Violation | undefined => {
  try {
    scenario.script(new Stage(module, scenario))
    return undefined
  } catch (error) {
    if (error instanceof module.Violation) return error
    throw error
  }
}

describe("What broke earlier drafts", () => {
  scenarios.forEach((scenario, i) => {
    const { rule, script, telling, violates, words } = scenario
    describe(`${i + 1}. ${words}`, () => {
      it("holds", () => script(new Stage(Real, scenario)))

      it(`fails without the rule "${rules[rule].rule}"`, { timeout: 180_000 }, async () => {
        const violation = violationOf(await load(rules[rule]), scenario)
        assert.strictEqual(violation?.rule, violates)
        assert.include(violation?.message, telling)
      })
    })
  })

  it("11b. or it comes back to its own read position, and goes on with its memory", () => {
    const stage = new Stage(Real)
    const { near, world } = stage
    stage.live()
    const first = world.routers.owner
    stage.did(world.replaceRouter())
    stage.send(2)
    stage.rest()
    stage.did(world.restoreRouter(first, "own position"), first.read(2))
    assert.strictEqual(first.router.inflight, 2)
    stage.did(near.receive(0), near.receive(0))
    stage.end()
  })
})
