import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { ClientId, Cursor, Epoch, EventId, PodId, RouteId, RouterId, Seq } from "./Ids.ts"
import type { RouterLimits } from "../Limits.ts"
import {
  decodePlacedBarrier,
  encodePlacedBarrier,
  encodeResult,
  isBarrier,
  peekSeq,
  type StoredRecord,
} from "./Records.ts"
import * as Router from "./Router.ts"

const limits: RouterLimits = {
  inflight_results_per_client: 3,
  inflight_results: 5,
  routes: 3,
  ack_timeout_ticks: 2,
}

const pod = (name: string) => PodId.make(name)
const client = (name: string) => ClientId.make(name)
const epoch = Epoch.make(1)
const routerId = RouterId.make("r")
const route = (n: number) => RouteId.make(`r.${n}`)

/** What a record of the results topic says: `c 5` is result 5 of client c, `c 6 p` its barrier 6, from pod p. */
const valueOf = (seq: number, podName: string | undefined): Uint8Array =>
  podName === undefined
    ? encodeResult({ seq: Seq.make(seq), id: EventId.make("e"), name: "n", data: null })
    : encodePlacedBarrier(Seq.make(seq), { epoch, pod: pod(podName) })

const recordAt = (offset: number, text: string): StoredRecord => {
  const [key = "", seq = "", podName] = text.split(" ")
  return { key, value: valueOf(Number(seq), podName), offset, timestamp: 0 }
}

/** A router, and what it has put out and nobody has carried out yet. */
class Shell {
  readonly router: Router.State
  private outputs: Array<Router.Output> = []

  constructor(options: Partial<RouterLimits> = {}) {
    this.router = Router.make({ ...limits, ...options }, routerId)
  }

  step(input: Router.Input): void {
    Router.step(this.router, input, this.outputs)
  }

  pushes() {
    return this.take("Publish").map(({ pod, pushes }) => ({ pod, pushes }))
  }

  takeSpill(records: number): Router.SpillBatch | undefined {
    this.step({ _tag: "Write", records })
    return this.take("Spill")[0]?.spill
  }

  spilled(spill: Router.SpillBatch | undefined): void {
    if (spill !== undefined) this.step({ _tag: "Spilled", spill })
  }

  takeUnreadable(): ReadonlyArray<Router.Unreadable> {
    return this.take("Quarantine").map(({ unreadable }) => unreadable)
  }

  quarantined(all: ReadonlyArray<Router.Unreadable>): void {
    for (const unreadable of all) this.step({ _tag: "Quarantined", unreadable })
  }

  takeCommit(): number | undefined {
    return this.take("Commit").at(-1)?.next
  }

  private take<Tag extends Router.Output["_tag"]>(tag: Tag) {
    const isOf = (output: Router.Output): output is Router.Output & { readonly _tag: Tag } => output._tag === tag
    const taken = this.outputs.filter(isOf)
    this.outputs = this.outputs.filter((output) => !isOf(output))
    return taken
  }
}

type Input = (shell: Shell) => unknown

const step =
  (input: Router.Input): Input =>
  (shell) =>
    shell.step(input)

/** A chunk of the results topic that begins at offset `from`. */
const chunk = (from: number, ...texts: ReadonlyArray<string>): Input =>
  chunkOf(
    from,
    from + texts.length,
    texts.map((text, i) => recordAt(from + i, text)),
  )
const chunkOf = (from: number, next: number, records: ReadonlyArray<StoredRecord>): Input =>
  step({ _tag: "Chunk", chunk: { partition: 0, from, next, records } })
const ack = (name: string, seq: number): Input => step({ _tag: "Ack", clientId: client(name), seq: Cursor.make(seq) })
/** Of the router's `n`th route. */
const nack = (name: string, n: number): Input => step({ _tag: "Nack", clientId: client(name), route: route(n) })
const unreceived = (name: string, n: number): Input =>
  step({ _tag: "Unreceived", clientId: client(name), route: route(n) })
const pass: Input = step({ _tag: "Tick" })
/** Writes everything that waits to the backlog. */
const spill: Input = (shell) => shell.spilled(shell.takeSpill(1_000))
const carryOut: Input = (shell) => {
  shell.pushes()
  spill(shell)
  shell.takeCommit()
}

const text = ({ key, value }: StoredRecord): string => `${key} ${peekSeq(value)}`
const inSpill = (spill: Router.SpillBatch | undefined): ReadonlyArray<string> | undefined => spill?.records.map(text)

/** Of the barriers of a spill. */
const routesOf = (spill: Router.SpillBatch | undefined) =>
  spill?.records
    .filter(({ value }) => isBarrier(value))
    .map(({ value }) => Result.getOrThrow(decodePlacedBarrier(value)).barrier.route)

interface Outputs {
  /** By pod, as `client prev→seq`. */
  readonly pushes?: Readonly<Record<string, ReadonlyArray<string>>>
  /** What goes to the backlog next. */
  readonly spill?: ReadonlyArray<string>
  /** After that was written. */
  readonly commit?: number
}

const outputsOf = (shell: Shell): Outputs => {
  const pushes: Record<string, ReadonlyArray<string>> = {}
  for (const { pod, pushes: ofPod } of shell.pushes()) {
    pushes[pod] = ofPod.map(({ clientId, prev, seq }) => `${clientId} ${prev}→${seq}`)
  }
  const spill = shell.takeSpill(1_000)
  shell.spilled(spill)
  const commit = shell.takeCommit()
  return {
    ...(Object.keys(pushes).length > 0 ? { pushes } : {}),
    ...(spill === undefined ? {} : { spill: spill.records.map(text) }),
    ...(commit === undefined ? {} : { commit }),
  }
}

const routerAfter = (inputs: ReadonlyArray<Input>, options?: Partial<RouterLimits>): Shell => {
  const shell = new Shell(options)
  for (const input of inputs) input(shell)
  return shell
}

/** A router that has had these inputs, and whose pushes, spill and commit were carried out. */
const given = (inputs: ReadonlyArray<Input>, options?: Partial<RouterLimits>) => ({
  when: (...whens: ReadonlyArray<Input>) => ({
    gives: (expected: Outputs) => {
      const shell = routerAfter([...inputs, carryOut], options)
      for (const input of whens) input(shell)
      assert.deepStrictEqual(outputsOf(shell), expected)
    },
  }),
})

describe("Router", () => {
  describe("on a record", () => {
    it("drops what is not above its client's prev, and is done with it", () => {
      given([chunk(0, "a 5 p", "a 7"), ack("a", 7)])
        .when(chunk(2, "a 7", "a 4", "a 5 p"))
        .gives({ commit: 5 })
    })
    it("asks nothing of the order between clients", () => {
      given([chunk(0, "a 5 p", "b 3 q")])
        .when(chunk(2, "b 4", "a 6"))
        .gives({ pushes: { p: ["a 5→6"], q: ["b 3→4"] } })
    })
    it("drops a repeated barrier, and leaves the route as it is", () => {
      given([chunk(0, "a 1 p", "a 5 q")])
        .when(chunk(2, "a 1 p", "a 6"))
        .gives({ pushes: { q: ["a 5→6"] } })
    })
    it("spills repeats of a client without a route once more", () => {
      given([chunk(0, "a 5")])
        .when(chunk(1, "a 5", "a 4"))
        .gives({ spill: ["a 5", "a 4"], commit: 3 })
    })
    it("gives each barrier's route an id of its own, which the backlog and its pushes have", () => {
      const router = routerAfter([chunk(0, "a 1 p", "a 2", "b 3 q", "b 4", "a 5 p", "a 6")])
      const pushed = router
        .pushes()
        .flatMap(({ pushes }) => pushes)
        .map((push) => `${push.seq} ${push.route}`)
      assert.deepStrictEqual(pushed, ["2 r.1", "6 r.3", "4 r.2"])
      assert.deepStrictEqual(routesOf(router.takeSpill(10)), [route(1), route(2), route(3)])
    })
    it("spills a result whose client has no route", () => {
      given([])
        .when(chunk(0, "a 0", "b 1"))
        .gives({ spill: ["a 0", "b 1"], commit: 2 })
    })
    it("pushes a result whose client has one, each with the seq of the record before it", () => {
      given([chunk(0, "a 1 p")])
        .when(chunk(1, "a 4", "b 5", "a 7"))
        .gives({ pushes: { p: ["a 1→4", "a 4→7"] }, spill: ["b 5"] })
    })
    it("pushes to each client's own pod", () => {
      given([chunk(0, "a 1 p", "b 2 q", "c 3 p")])
        .when(chunk(3, "a 4", "b 5", "c 6"))
        .gives({ pushes: { p: ["a 1→4", "c 3→6"], q: ["b 2→5"] } })
    })
    it("spills a barrier, and routes to its pod from its seq on", () => {
      given([])
        .when(chunk(0, "a 3 p", "a 5"))
        .gives({ pushes: { p: ["a 3→5"] }, spill: ["a 3"], commit: 1 })
    })
    it("diverts the client on a barrier: in flight before the barrier, and in order", () => {
      given([chunk(0, "a 1 p", "a 2", "a 3")])
        .when(chunk(3, "a 4 q", "a 5"))
        .gives({ pushes: { q: ["a 4→5"] }, spill: ["a 2", "a 3", "a 4"], commit: 4 })
    })
    it("leaves out of a divert what the client has acknowledged", () => {
      given([chunk(0, "a 1 p", "a 2", "a 3"), ack("a", 2)])
        .when(chunk(3, "a 4 q"))
        .gives({ spill: ["a 3", "a 4"], commit: 4 })
    })
    it("leaves other clients alone", () => {
      given([chunk(0, "a 1 p", "b 2 p", "b 3")])
        .when(chunk(3, "a 4 q", "b 5"))
        .gives({ pushes: { p: ["b 3→5"] }, spill: ["a 4"] })
    })
  })

  describe("diverts", () => {
    const inFlight = [chunk(0, "a 1 p", "a 2", "b 3 p", "a 4")]

    it("on a nack, and spills what comes after", () => {
      given(inFlight)
        .when(nack("a", 1), chunk(4, "a 5"))
        .gives({ spill: ["a 2", "a 4", "a 5"], commit: 5 })
    })
    it("on a push that nobody received", () => {
      given(inFlight)
        .when(unreceived("a", 1), chunk(4, "a 5"))
        .gives({ spill: ["a 2", "a 4", "a 5"], commit: 5 })
    })
    it("nobody on a nack for a client without a route", () => {
      given(inFlight)
        .when(nack("z", 1), chunk(4, "a 5"))
        .gives({ pushes: { p: ["a 4→5"] } })
    })
    it("nobody on a nack or an answer that is late: its route is over", () => {
      given([...inFlight, chunk(4, "a 5 q")])
        .when(nack("a", 1), unreceived("a", 1), chunk(5, "a 6"))
        .gives({ pushes: { q: ["a 5→6"] } })
    })
    it("whichever route there is on a nack that names none", () => {
      given(inFlight)
        .when(step({ _tag: "Nack", clientId: client("a") }), chunk(4, "a 5"))
        .gives({ spill: ["a 2", "a 4", "a 5"], commit: 5 })
    })
    it("on an ack timeout, not before, and only who is late", () => {
      given(inFlight).when(pass).gives({})
      given([...inFlight, pass, chunk(4, "b 5")])
        .when(pass)
        .gives({ spill: ["a 2", "a 4"], commit: 4 })
    })
    it("nobody who has acknowledged in time", () => {
      given([...inFlight, ack("a", 4)])
        .when(pass, pass, pass)
        .gives({})
    })
    it("a client that has too much in flight, and spills what is one too many", () => {
      given([chunk(0, "a 1 p", "a 2", "a 3", "a 4")])
        .when(chunk(4, "a 5"))
        .gives({ spill: ["a 2", "a 3", "a 4", "a 5"], commit: 5 })
      given([chunk(0, "a 1 p", "a 2", "a 3", "a 4"), ack("a", 2)])
        .when(chunk(4, "a 5"))
        .gives({ pushes: { p: ["a 4→5"] } })
    })
    it("the client with the oldest in flight, when there is too much in all", () => {
      given([chunk(0, "a 1 p", "b 2 p", "c 3 p", "b 4", "a 5", "c 6", "a 7", "b 8")])
        .when(chunk(8, "c 9"))
        .gives({ pushes: { p: ["c 6→9"] }, spill: ["b 4", "b 8"], commit: 4 })
    })
    it("the client at hand when it is that one", () => {
      given([chunk(0, "a 1 p", "a 2", "a 3")], { inflight_results: 2 })
        .when(chunk(3, "a 4"))
        .gives({ spill: ["a 2", "a 3", "a 4"], commit: 4 })
    })
    it("everyone, where nothing may be in flight", () => {
      given([chunk(0, "a 1 p")], { inflight_results: 0 })
        .when(chunk(1, "a 2", "a 3"))
        .gives({ spill: ["a 2", "a 3"], commit: 3 })
    })
    it("the oldest route, when there are too many", () => {
      given([chunk(0, "a 1 p", "b 2 p", "c 3 p", "a 4 p")])
        .when(chunk(4, "d 5 p", "b 6", "a 7"))
        .gives({ pushes: { p: ["a 4→7"] }, spill: ["d 5", "b 6"], commit: 6 })
    })
    it("and never has more routes or more in flight than its bounds", () => {
      const router = routerAfter([
        chunk(0, "a 1 p", "b 2 p", "c 3 p", "d 4 p", "b 5", "c 6", "d 7", "b 8", "c 9", "d 10"),
      ])
      const { inflight, routes } = Router.sizeOf(router.router)
      assert.deepStrictEqual({ routes, inflight }, { routes: 2, inflight: 4 })
    })
    it("and counts why", () => {
      const { router } = routerAfter([
        chunk(0, "a 1 p", "a 2 p", "a 3"),
        nack("a", 2),
        chunk(3, "a 4 p"),
        unreceived("a", 3),
        chunk(4, "a 5 p", "a 6", "a 6"),
        pass,
        pass,
        carryOut,
      ])
      assert.deepStrictEqual(router.counts, {
        repeats: 1,
        pushed: 2,
        spilled: 6,
        barrier: 1,
        nack: 1,
        unreceived: 1,
        "ack-timeout": 1,
        "client-full": 0,
        "router-full": 0,
      })
    })
  })

  describe("commits", () => {
    it("the offset after the last record that is done with all before it", () => {
      given([])
        .when(chunk(7, "a 1"))
        .gives({ spill: ["a 1"], commit: 8 })
    })
    it("nothing while the first record is in flight", () => {
      given([chunk(0, "a 1 p"), carryOut, chunk(1, "a 2", "a 3")])
        .when(ack("a", 1))
        .gives({})
      given([chunk(0, "a 1 p"), carryOut, chunk(1, "a 2", "a 3")])
        .when(ack("a", 2))
        .gives({ commit: 2 })
    })
    it("cumulatively: an ack covers all up to it", () => {
      given([chunk(0, "a 1 p", "a 2", "a 3")])
        .when(ack("a", 3))
        .gives({ commit: 3 })
    })
    it("over what is acknowledged out of turn only once what is before it is done", () => {
      given([chunk(0, "a 1 p", "b 2 p", "a 3", "b 4")])
        .when(ack("b", 4))
        .gives({})
      given([chunk(0, "a 1 p", "b 2 p", "a 3", "b 4"), ack("b", 4)])
        .when(ack("a", 3))
        .gives({ commit: 4 })
    })
    it("over repeats as soon as all before them is done", () => {
      given([chunk(0, "a 1 p", "a 2")])
        .when(chunk(2, "a 2", "a 1 p"))
        .gives({})
      given([chunk(0, "a 1 p", "a 2"), chunk(2, "a 2", "a 1 p")])
        .when(ack("a", 2))
        .gives({ commit: 4 })
    })
    it("over offsets without a record", () => {
      const empty = chunkOf(1, 5, [])
      given([chunk(0, "a 1")])
        .when(empty)
        .gives({ commit: 5 })
      given([chunk(0, "a 1 p"), carryOut, chunk(1, "a 2"), chunkOf(2, 5, [])])
        .when(ack("a", 2))
        .gives({ commit: 5 })
    })
    it("a diverted record once the backlog has it", () => {
      given([chunk(0, "a 1 p", "a 2")])
        .when(nack("a", 1))
        .gives({ spill: ["a 2"], commit: 2 })
    })
    it("nothing on an ack that is late, repeated, or of a client without a route", () => {
      given([chunk(0, "a 1 p", "a 2"), ack("a", 2)])
        .when(ack("a", 2), ack("a", 1), ack("z", 9))
        .gives({})
    })
    it("once for each move", () => {
      const router = routerAfter([chunk(0, "a 1"), spill])
      assert.strictEqual(router.takeCommit(), 1)
      assert.strictEqual(router.takeCommit(), undefined)
    })
  })

  describe("the spill", () => {
    it("is written one produce at a time, in order, at most so many records", () => {
      const router = routerAfter([chunk(0, "a 1", "a 2", "a 3")])
      const first = router.takeSpill(2)
      assert.deepStrictEqual(inSpill(first), ["a 1", "a 2"])
      assert.strictEqual(router.takeSpill(2), undefined)
      assert.strictEqual(router.router.underWay, first)
      assert.strictEqual(router.takeCommit(), undefined)

      router.spilled(first)
      assert.strictEqual(router.router.underWay, undefined)
      assert.strictEqual(router.takeCommit(), 2)
      assert.deepStrictEqual(inSpill(router.takeSpill(2)), ["a 3"])
    })
    it("is acknowledged once: a repeated acknowledgement is nothing", () => {
      const router = routerAfter([chunk(0, "a 1", "a 2")])
      const first = router.takeSpill(1)
      if (first === undefined) return assert.fail("nothing was spilled")
      router.spilled(first)
      const second = router.takeSpill(1)
      router.spilled(first)
      assert.strictEqual(router.router.underWay, second)
      assert.strictEqual(router.takeCommit(), 1)
    })
  })

  describe("memory", () => {
    it("is kept while each read starts where the last one ended", () => {
      given([chunk(0, "a 1 p")])
        .when(chunk(1, "a 2"))
        .gives({ pushes: { p: ["a 1→2"] } })
      assert.strictEqual(routerAfter([chunk(0, "a 1 p")]).router.position, 1)
      assert.strictEqual(new Shell().router.position, undefined)
    })
    it("is emptied when a read starts elsewhere, further on or back", () => {
      given([chunk(0, "a 1 p", "a 2")])
        .when(chunk(5, "a 9"))
        .gives({ spill: ["a 9"], commit: 6 })
      given([chunk(0, "a 1 p", "a 2")])
        .when(chunk(1, "a 2", "a 3"))
        .gives({ spill: ["a 2", "a 3"], commit: 3 })
    })
    it("takes with it the spill that was not carried out, and the commit", () => {
      const router = routerAfter([chunk(0, "a 1 p", "a 2", "b 3")])
      const spill = router.takeSpill(10)
      router.pushes()
      chunk(7, "b 9")(router)
      router.spilled(spill)
      assert.deepStrictEqual(outputsOf(router), { spill: ["b 9"], commit: 8 })
    })
    it("that was emptied takes a repeated old barrier for a new one, by a route that nobody had before", () => {
      const router = routerAfter([chunk(0, "a 1 p", "a 2"), carryOut, chunk(7, "a 1 p", "a 9")])
      assert.deepStrictEqual(
        router
          .pushes()
          .flatMap(({ pushes }) => pushes)
          .map((push) => push.route),
        [route(2)],
      )
      assert.deepStrictEqual(routesOf(router.takeSpill(10)), [route(2)])
    })
  })

  describe("records that can't be read", () => {
    const bad = chunkOf(1, 2, [{ key: "a", value: new TextEncoder().encode("?"), offset: 1, timestamp: 0 }])

    it("go to quarantine, and the commit waits for it", () => {
      const router = routerAfter([chunk(0, "a 1 p"), bad, chunk(2, "a 2"), ack("a", 2), carryOut])
      const unreadable = router.takeUnreadable()
      assert.deepStrictEqual(
        unreadable.map(({ record }) => record.offset),
        [1],
      )
      assert.strictEqual(router.takeCommit(), undefined)
      router.quarantined(unreadable)
      assert.strictEqual(router.takeCommit(), 3)
    })
    it("leave the commit before them until then", () => {
      const router = routerAfter([chunk(0, "a 1"), spill, bad])
      assert.strictEqual(router.takeCommit(), 1)
      router.quarantined(router.takeUnreadable())
      assert.strictEqual(router.takeCommit(), 2)
    })
    it("from before the memory was emptied are quarantined in vain", () => {
      const router = routerAfter([chunk(0, "a 1"), spill, bad])
      const before = router.takeUnreadable()
      router.takeCommit()
      chunk(7, "a 9")(router)
      router.quarantined(before)
      assert.strictEqual(router.takeCommit(), undefined)
    })
    it("change nothing where they are barriers: the route stays", () => {
      const value = new TextEncoder().encode(`{"seq":2,"barrier":{"epoch":-1,"pod":"q"}}`)
      const badBarrier = chunkOf(1, 2, [{ key: "a", value, offset: 1, timestamp: 0 }])
      given([chunk(0, "a 1 p"), badBarrier])
        .when(chunk(2, "a 3"))
        .gives({ pushes: { p: ["a 1→3"] } })
    })
  })

  it("goes on unharmed through many thousands of acks", () => {
    const router = new Shell({ inflight_results_per_client: 2_000, inflight_results: 2_000 })
    chunk(0, "a 0 p")(router)
    carryOut(router)
    for (let seq = 1; seq <= 20_000; seq++) {
      chunk(seq, `a ${seq}`)(router)
      if (seq > 1_000) ack("a", seq - 1_000)(router)
    }
    assert.strictEqual(router.takeCommit(), 19_001)
    assert.strictEqual(router.router.inflight, 1_000)
    nack("a", 1)(router)
    assert.deepStrictEqual(inSpill(router.takeSpill(2)), ["a 19001", "a 19002"])
  })
})
