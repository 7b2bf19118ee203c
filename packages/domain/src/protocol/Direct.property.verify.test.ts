/**
 * Direct delivery under random interleavings: sessions and feeds as they are, on a log with repeats whose oldest part
 * goes, a mailbox that follows it, offsets that are forgotten or roll back, other transports in between, cut sockets.
 * Whatever happens, the client's list is exactly its 1, 2, 3, …, and in the end it is LIVE with all of them.
 */
import { assert, describe, it } from "@effect/vitest"
import type { ClientOffset } from "../services/ClientOffsets.ts"
import * as DirectSession from "./DirectSession.ts"
import * as Feed from "./Feed.ts"
import { ClientId, type Cursor, Epoch, EventId, PodId, type Seq, seqUnsafe, start } from "./Ids.ts"
import { sessionLimits } from "../Limits.ts"
import { encodePlacedBarrier, encodeResult, isBarrier, peekSeq, type StoredRecord } from "./Records.ts"

const clients = ["a", "b", "c"].map((id) => ClientId.make(id))
const pod = PodId.make("p")
const limits = { ...sessionLimits, window_results: 6, page_results: 3, read_every_ticks: 2 }
const steps = 400
const seeds = 1_000

interface Options {
  readonly seed: number
  /** The client gives `after`, so that what its gateway forgot does no harm. Without, nothing it acknowledged is forgotten. */
  readonly hasMemory: boolean
  readonly sees: (sight: string) => void
}

/** One client: what it has, and its connection. */
class Peer {
  readonly clientId: ClientId
  /** Everything that it took, over all connections. */
  readonly got: Array<Seq> = []
  /** Sent to it and not taken yet. */
  wire: Array<Seq> = []
  session: DirectSession.State | undefined = undefined
  isLive = false
  /** The page under way, and how far the mailboxes were when it was asked for. */
  read: { readonly after: Cursor; readonly results: number; readonly boxed: number } | undefined = undefined
  settles = false
  lastSaved: Array<ClientOffset> = []
  stored: ClientOffset | undefined = undefined
  acked: Cursor = start

  constructor(clientId: ClientId) {
    this.clientId = clientId
  }

  get has(): Cursor {
    return this.got.at(-1) ?? start
  }
}

class World {
  readonly #options: Options
  #state: number
  readonly #log: Array<StoredRecord> = []
  #earliest = 0
  #seq = 0
  /** Up to here the result consumer has spilled, and up to here it is in the mailboxes. */
  #shelved = 0
  #boxed = 0
  #epoch = 1
  readonly #feed: Feed.State
  #end = 0
  #passAt: number | undefined = undefined
  readonly peers = clients.map((clientId) => new Peer(clientId))
  #handover: number | undefined = undefined
  /** Outputs of so many steps of the feed are being carried out. */
  #telling = 0

  constructor(options: Options) {
    this.#options = options
    this.#state = options.seed * 2_654_435_761 + 1
    this.#feed = Feed.make({ recent_bytes: 200 + this.dice(1_500) })
    this.#step({ _tag: "Begin", at: 0 })
  }

  dice(n: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0
    return (this.#state >>> 8) % n
  }

  /** What there is for a client, in order. */
  all(clientId: ClientId): ReadonlyArray<Seq> {
    return [...this.#firsts(this.#log.length, clientId)].map(({ seq }) => seq)
  }

  *#firsts(below: number, clientId: ClientId): Iterable<Feed.LogItem> {
    let seen = -1
    for (const { key, offset, value } of this.#log.slice(0, below)) {
      const seq = peekSeq(value)!
      if (seq <= seen) continue
      seen = seq
      if (key === clientId && !isBarrier(value)) yield { seq, value, offset }
    }
  }

  append(): void {
    const times = 1 + this.dice(4)
    for (let i = 0; i < times; i++) {
      const key = clients[this.dice(clients.length)]!
      const seq = seqUnsafe(this.#seq)
      this.#seq += 1 + this.dice(3)
      const value =
        this.dice(12) === 0
          ? encodePlacedBarrier(seq, { epoch: Epoch.make(1), pod: PodId.make("elsewhere") })
          : encodeResult({ seq, id: EventId.make(`e${seq}`), name: "n", data: null })
      this.#log.push({ key, value, offset: this.#log.length, timestamp: 0 })
    }
  }

  /** An event consumer that was restarted, or a late produce of one that is none any more. */
  repeat(): void {
    if (this.#log.length === 0) return
    const from = Math.max(0, this.#log.length - 1 - this.dice(12))
    const all = this.#log.slice(from, from + 1 + this.dice(12))
    for (const record of all) this.#log.push({ ...record, offset: this.#log.length })
    this.#options.sees("repeats")
  }

  pipeline(): void {
    if (this.dice(2) === 0) this.#shelved = Math.min(this.#log.length, this.#shelved + this.dice(12))
    else this.#boxed = Math.min(this.#shelved, this.#boxed + this.dice(12))
  }

  /** Retention: of what is not in the mailboxes nothing goes. */
  retain(): void {
    if (this.dice(3) > 0) return
    this.#earliest = Math.max(this.#earliest, this.#boxed - this.dice(10))
  }

  #chunk(from: number) {
    const at = Math.max(from, this.#earliest)
    const next = Math.min(this.#log.length, at + 1 + this.dice(6))
    if (next <= at) return undefined
    return { partition: 0, from: at, next, records: this.#log.slice(at, next) }
  }

  readEnd(): void {
    if (this.dice(20) === 0) this.#step({ _tag: "Retained", earliest: this.#earliest })
    const chunk = this.#chunk(this.#end)
    if (chunk === undefined) return
    this.#end = chunk.next
    this.#step({ _tag: "Chunk", chunk })
  }

  readPass(): void {
    if (this.#passAt === undefined) {
      if (!Feed.isWanted(this.#feed)) return
      this.#step({ _tag: "BeginPass", earliest: this.#earliest })
      this.#passAt = Feed.passFrom(this.#feed)
      if (this.#passAt === undefined) return
      this.#options.sees("passes")
    }
    const chunk = this.#chunk(this.#passAt)
    if (chunk === undefined) return this.#endPass()
    this.#passAt = chunk.next
    this.#step({ _tag: "PassChunk", chunk })
    const state = Feed.passState(this.#feed)
    if (state === "idle") this.#options.sees("a pass waits")
    if (state === "done") this.#passAt = undefined
    else if (state === "idle" && this.dice(3) === 0) this.#endPass()
  }

  #endPass(): void {
    this.#passAt = undefined
    this.#step({ _tag: "EndPass" })
  }

  connect(peer: Peer): void {
    if (peer.session !== undefined) this.cut(peer)
    const { hasMemory, sees } = this.#options
    const after = hasMemory ? peer.has : start
    if (peer.stored === undefined) sees("offsets lost")
    const { acked, clientId, stored } = peer
    this.#epoch++
    const epoch = Epoch.make(this.#epoch)
    peer.session = DirectSession.make({ clientId, epoch, pod, after, acked, stored, limits })
    peer.isLive = false
    this.#tell(peer, { _tag: "Open" })
  }

  /** The socket is gone, with what was on the wire. */
  cut(peer: Peer): void {
    if (peer.session === undefined) return
    this.save(peer)
    this.#step({ _tag: "Leave", clientId: peer.clientId })
    peer.session = undefined
    peer.wire = []
    peer.read = undefined
    peer.settles = false
  }

  /** The client takes some, and its ack comes, or not: without a memory of its own the two are one. */
  take(peer: Peer): void {
    if (peer.session === undefined) return
    if (peer.wire.length > 0) peer.got.push(...peer.wire.splice(0, 1 + this.dice(peer.wire.length)))
    if (this.#options.hasMemory && this.dice(3) === 0) return
    assert.isTrue(DirectSession.isSent(peer.session, peer.has))
    this.#tell(peer, { _tag: "Ack", seq: peer.has })
  }

  /** Another transport of the same client: native, or approach 3. Its acks reach the mailbox alone. */
  elsewhere(peer: Peer): void {
    this.cut(peer)
    const waiting = [...this.#firsts(this.#boxed, peer.clientId)].filter(({ seq }) => seq > peer.has)
    const taken = waiting.slice(0, this.dice(4)).map(({ seq }) => seq)
    if (taken.length === 0 || peer.has > peer.acked) return
    peer.got.push(...taken)
    peer.acked = peer.has
    this.#options.sees("another transport")
  }

  forget(peer: Peer): void {
    if (this.dice(3) > 0) return
    if (this.dice(2) === 0) peer.stored = undefined
    else if (this.#options.hasMemory) peer.stored = peer.lastSaved[this.dice(peer.lastSaved.length + 1)] ?? peer.stored
  }

  save(peer: Peer): void {
    if (peer.session === undefined) return
    const next = this.#telling > 0 ? undefined : Feed.passedUpTo(this.#feed, peer.clientId)
    if (next !== undefined) this.#tell(peer, { _tag: "Passed", clientId: peer.clientId, next })
    const fact = DirectSession.factOf(peer.session)
    if (fact === undefined) return
    peer.lastSaved.push(fact)
    peer.stored = fact
  }

  stall(peer: Peer): void {
    this.#tell(peer, { _tag: this.dice(2) === 0 ? "Stalled" : "Drained" })
  }

  tick(peer: Peer): void {
    this.#tell(peer, { _tag: "Tick" })
  }

  mailbox(peer: Peer): void {
    const { read, session } = peer
    if (session === undefined || read === undefined) return
    peer.read = undefined
    if (this.dice(8) === 0) this.#tell(peer, { _tag: "PageFailed" })
    else {
      // It may have been read at any moment since it was asked for.
      const boxed = read.boxed + this.dice(this.#boxed - read.boxed + 1)
      const all = [...this.#firsts(boxed, peer.clientId)].filter(({ seq }) => seq > read.after && seq > peer.acked)
      const records = all.slice(0, read.results)
      const short = records.length === all.length
      this.#tell(peer, { _tag: "Page", page: { records, short, acked: peer.acked, floor: start, hole: start } })
      this.#options.sees("pages")
    }
  }

  /** As the shell does: the commit first, and then the backlog that follows it must be in the mailboxes. */
  settle(): void {
    if (!this.peers.some(({ settles }) => settles)) return
    if (this.#handover === undefined) {
      this.#handover = Math.max(this.#shelved, this.#earliest)
      return
    }
    if (this.#boxed < Math.min(this.#handover, this.#shelved)) return
    for (const peer of this.peers) {
      if (!peer.settles) continue
      peer.settles = false
      this.#tell(peer, { _tag: "Settled", handover: this.#handover })
      this.#options.sees("settles")
    }
    this.#handover = undefined
  }

  #step(input: Feed.Input): void {
    this.#telling++
    for (const output of Feed.step(this.#feed, input)) {
      const peer = this.peers.find(({ clientId }) => output._tag !== "Wake" && clientId === output.clientId)
      if (output._tag !== "Wake" && peer !== undefined) this.#tell(peer, output)
    }
    this.#telling--
  }

  #tell(peer: Peer, input: DirectSession.Input): void {
    const { session } = peer
    for (const output of session === undefined ? [] : DirectSession.step(session, input)) {
      switch (output._tag) {
        case "Deliver":
          peer.wire.push(...output.items.map(({ seq }) => seq))
          break
        case "Trim":
          if (!this.#options.hasMemory || this.dice(3) > 0) peer.acked = higher(peer.acked, output.seq)
          if (!this.#options.hasMemory) this.save(peer)
          break
        case "Status":
          peer.isLive = output.status === "LIVE"
          break
        case "Read":
          peer.read = { after: output.after, results: output.limit.results, boxed: this.#boxed }
          break
        case "Settle":
          peer.settles = true
          // One that was begun before it asked does not count.
          this.#handover = undefined
          break
        case "Follow":
          this.#step({ _tag: "Follow", clientId: peer.clientId, position: session?.position ?? assert.fail("follows") })
          break
        case "Leave":
          this.#step({ _tag: "Leave", clientId: peer.clientId })
          break
        case "Lost":
          assert.fail(`lost (${output.after}, ${output.upTo ?? "?"}]`)
      }
    }
  }

  check(): void {
    for (const { clientId, got, wire } of this.peers) {
      const all = this.all(clientId)
      assert.deepStrictEqual(got, all.slice(0, got.length), `client ${clientId}`)
      assert.isAtMost(wire.length, limits.window_results)
    }
  }

  step(): void {
    const peer = this.peers[this.dice(this.peers.length)]!
    const actions: ReadonlyArray<readonly [weight: number, act: () => void]> = [
      [5, () => this.append()],
      [1, () => this.repeat()],
      [6, () => this.pipeline()],
      [2, () => this.retain()],
      [6, () => this.readEnd()],
      [6, () => this.readPass()],
      [1, () => this.connect(peer)],
      [1, () => (this.dice(3) === 0 ? this.cut(peer) : undefined)],
      [8, () => this.take(peer)],
      [1, () => this.elsewhere(peer)],
      [1, () => this.forget(peer)],
      [1, () => this.save(peer)],
      [1, () => this.stall(peer)],
      [2, () => this.tick(peer)],
      [4, () => this.mailbox(peer)],
      [3, () => this.settle()],
    ]
    let at = this.dice(actions.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, act] of actions) if ((at -= weight) < 0) return act()
  }

  /** No more faults, and the log may be empty by now: everyone connects, takes what comes, and is LIVE with all of it. */
  settleDown(): void {
    this.#shelved = this.#boxed = this.#log.length
    if (this.dice(2) === 0) this.#earliest = this.#log.length
    for (const peer of this.peers) {
      if (peer.session === undefined) this.connect(peer)
      this.#tell(peer, { _tag: "Drained" })
    }
    for (let i = 0; i < 3_000; i++) {
      this.#step({ _tag: "Retained", earliest: this.#earliest })
      this.#shelved = this.#boxed = this.#log.length
      this.readEnd()
      this.readPass()
      this.settle()
      for (const peer of this.peers) {
        this.mailbox(peer)
        this.take(peer)
        this.tick(peer)
      }
      if (this.peers.every((peer) => peer.isLive && peer.got.length === this.all(peer.clientId).length)) return
    }
    const left = this.peers.map(({ clientId, got, isLive, session }) => {
      return { clientId, got: got.length, of: this.all(clientId).length, isLive, at: session?.position }
    })
    assert.fail(`not settled: ${JSON.stringify({ left, feed: Feed.sizeOf(this.#feed), next: this.#feed.next })}`)
  }
}

const higher = (a: Cursor, b: Cursor): Cursor => (a >= b ? a : b)

const play = (options: Options): void => {
  const world = new World(options)
  for (let i = 0; i < steps; i++) {
    world.step()
    if (i % 20 === 0) world.check()
  }
  world.settleDown()
  world.check()
}

const holdForSeeds = (hasMemory: boolean): void => {
  for (let seed = 0; seed < seeds; seed++) {
    try {
      play({ seed, hasMemory, sees: () => {} })
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
}

describe("Direct delivery", () => {
  it("gives a client without a memory its results exactly once, in order", () => holdForSeeds(false), 120_000)

  it(
    "gives a client with a memory its results exactly once, in order, whatever its gateways forget",
    () => holdForSeeds(true),
    120_000,
  )

  it("meets passes, pages, repeats, lost offsets and other transports on the way", () => {
    const seen = new Map<string, number>()
    for (let seed = 0; seed < 100; seed++) {
      play({ seed, hasMemory: seed % 2 === 0, sees: (sight) => void seen.set(sight, (seen.get(sight) ?? 0) + 1) })
    }
    for (const sight of [
      "repeats",
      "passes",
      "a pass waits",
      "offsets lost",
      "another transport",
      "pages",
      "settles",
    ]) {
      assert.isAbove(seen.get(sight) ?? 0, 5, sight)
    }
  })
})
