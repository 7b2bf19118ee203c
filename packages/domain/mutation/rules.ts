/** The rules of the protocol, each with the patch that takes it out. */
import type { Patch } from "./Mutant.ts"

const patch = (rule: string, file: string, find: string, replace = ""): Patch => ({ rule, file, find, replace })

export const rules = {
  onlyTheClientsAck: patch(
    "only the client's ack counts",
    "Session.ts",
    `if (this.acked > start) this.emit({ _tag: "Ack", seq: this.acked })`,
    `this.emit({ _tag: "Ack", seq: this.delivered })`,
  ),
  repeats: patch(
    "a push at or below delivered is a repeat",
    "Session.ts",
    `if (push.seq <= this.delivered && !this.opening) {`,
    `if (false) {`,
  ),
  pushesCheckPrev: patch(
    "pushes check prev",
    "Session.ts",
    `push.prev > this.delivered || !this.mayDeliver()`,
    `!this.mayDeliver()`,
  ),
  heldPushesCheckPrev: patch(
    "held pushes check prev",
    "Session.ts",
    `if (push.prev > this.delivered) return this.meetGap()`,
  ),
  routeStartsAtBarrier: patch(
    "the barrier is part of the chain: the route starts at its seq",
    "Router.ts",
    `pod: placed.success.barrier.pod, prev: seq`,
    `pod: placed.success.barrier.pod, prev: start`,
  ),
  barrierSetsDelivered: patch(
    "the barrier is part of the chain: it sets delivered",
    "Session.ts",
    `    this.delivered = item.seq
    if (this.isAllAcknowledged)`,
    `    if (this.isAllAcknowledged)`,
  ),
  seen: patch("seen", "Router.ts", `if (seq <= this.seen) {`, `if (false) {`),
  commitOneShort: {
    ...patch(
      "commit one short",
      "internal/Outstanding.ts",
      `this.commit = this.marks[first]!.offset ?? this.commit`,
      `this.commit = this.marks[first]!.offset === undefined ? this.commit : this.marks[first]!.offset + 1`,
    ),
    faults: ["result consumers crash", "event consumers crash", "publishes late", "partitions move"],
  },
  putsInOrder: patch(
    "puts in order",
    "testing/world/ReplayWorker.ts",
    `    const put = this.pending
`,
    `    const put = this.pending
    if (put.records.length > 1 && put.expected !== undefined) {
      this.parts.mailbox.put({ ...put, next: put.expected, records: put.records.slice(1) })
      this.pending = { ...put, records: put.records.slice(0, 1) }
      return this.name + " puts " + put.records.slice(1).map(({ clientId, seq }) => clientId + " " + seq) + " first"
    }
`,
  ),
  offsetStored: {
    ...patch(
      "offset stored with the mailboxes",
      "MailboxMemory.ts",
      `if (partition.offset !== chunk.expected) return { _tag: "Differs", stored: partition.offset }`,
    ),
    faults: ["mailboxes roll back", "mailboxes wiped"],
  },
  ownReadPosition: patch(
    "memory kept only with the own read position",
    "Router.ts",
    `if (chunk.from !== this.expected) this.forget()`,
  ),
  window: patch("window", "Session.ts", `return !this.stalled && this.window.isOpen`, `return !this.stalled`),
  epochNotBelowStored: patch("epoch ≥ stored", "Status.ts", `to.epoch < stored.epoch ||`),
  sameEpochOtherPod: patch(
    "of two sessions with one epoch, the newer holds",
    "Status.ts",
    `to.epoch < stored.epoch || (to.epoch === stored.epoch && to.pod !== stored.pod)`,
    `to.epoch < stored.epoch`,
  ),
  epochsOfAPodGrow: patch(
    "a pod never uses an epoch of its own twice",
    "PodEpochs.ts",
    `this.last = Math.max(this.last + 1, now_ms)`,
    `this.last = now_ms`,
  ),
  epochsFromClock: patch(
    "epochs grow across a wipe",
    "Status.ts",
    `from === undefined ? atLeast :`,
    `from === undefined ? Epoch.make(1) :`,
  ),
  divertOnBarrier: patch("divert on barrier", "Router.ts", `this.divert(clientId, "barrier")`),
  divertInOrder: patch(
    "divert in order",
    "Router.ts",
    `const { index, record } = route.inflight[i]!`,
    `const { index, record } = route.inflight[route.inflight.length - 1 - (i - route.first)]!`,
  ),
  shelveWithoutRoute: patch(
    "a router begins with empty memory and shelves who has no route",
    "Router.ts",
    `if (route === undefined) this.shelve(record, this.outstanding.shelved(record.offset))
    else this.push(clientId, route, seq, record)`,
    `if (route === undefined) this.outstanding.done(this.outstanding.shelved(record.offset))
    else this.push(clientId, route, seq, record)`,
  ),
  routingNeverAsksTheRegistry: patch(
    "routing never asks the registry",
    "testing/world/RouterWorker.ts",
    `    this.router.chunk(chunk)`,
    `    for (const { key: clientId, value } of chunk.records) {
      const pod = this.parts.registry.podOf(clientId)
      if (pod !== undefined) this.parts.pods.publish(pod, [{ _tag: "Push", clientId, prev: -1, seq: peekSeq(value), value }])
    }
    this.router.chunk(chunk)`,
  ),
  floor: patch("floor", "Session.ts", `if (page.floor > this.delivered) {`, `if (false) {`),
  hole: patch("hole", "Session.ts", `if (page.hole > this.toldHole &&`, `if (false &&`),
  lossIsSent: patch(
    "a loss counts as sent",
    "Session.ts",
    `return this.window.results === 0 && this.lossProof === undefined`,
    `return this.window.results === 0`,
  ),
  sweep: patch("the sweep looks for mail", "testing/world/Connection.ts", `if (isWaiting) this.mail()`),
} as const satisfies Record<string, Patch>

export type RuleName = keyof typeof rules

const isRuleName = (name: string): name is RuleName => Object.hasOwn(rules, name)

export const ruleNames: ReadonlyArray<RuleName> = Object.keys(rules).filter(isRuleName)
