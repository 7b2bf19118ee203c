/** The rules of the protocol, each with the patch that takes it out. */
import type { Patch } from "./Mutant.ts"

const patch = (rule: string, file: string, find: string, replace = ""): Patch => ({
  package: "domain",
  rule,
  file,
  find,
  replace,
})

/** What stands for a shell in the world. */
const worldPatch = (rule: string, file: string, find: string, replace = ""): Patch => ({
  ...patch(rule, file, find, replace),
  package: "simulator",
})

export const rules = {
  onlyTheClientsAck: patch(
    "only the client's ack counts",
    "protocol/Session.ts",
    `if (state.acked > start) out.push({ _tag: "Ack", seq: state.acked })`,
    `out.push({ _tag: "Ack", seq: state.delivered })`,
  ),
  repeats: patch(
    "a push at or below delivered is a repeat",
    "protocol/Session.ts",
    `if (push.seq <= state.delivered && !state.opening) {`,
    `if (false) {`,
  ),
  pushesCheckPrev: patch(
    "pushes check prev",
    "protocol/Session.ts",
    `push.route === state.route && push.prev <= state.delivered`,
    `push.route === state.route`,
  ),
  heldPushesCheckPrev: patch(
    "held pushes check prev",
    "protocol/Session.ts",
    `if (push.prev > state.delivered) return meetOther(state, "gap", out)`,
  ),
  routeStartsAtBarrier: patch(
    "the barrier is part of the chain: the route starts at its seq",
    "protocol/Router.ts",
    `pod: barrier.pod, prev: seq`,
    `pod: barrier.pod, prev: -1`,
  ),
  barrierSetsDelivered: patch(
    "the barrier is part of the chain: it sets delivered",
    "protocol/Session.ts",
    `  state.delivered = item.seq
  if (isAllAcknowledged(state))`,
    `  if (isAllAcknowledged(state))`,
  ),
  repeatsByPrev: patch(
    "a record at or below its route's prev is a repeat",
    "protocol/Router.ts",
    `if (route !== undefined && seq <= route.prev) {`,
    `if (false) {`,
  ),
  routeIds: patch(
    "a route has an id, and a session takes the pushes of its own alone",
    "protocol/Router.ts",
    `const id = routeIdOf(state.id, ++state.routesMade)`,
    `const id = routeIdOf("any" as RouterId, 0)`,
  ),
  routeIdsOnce: {
    ...patch(
      "a route id is used once, whatever the router forgets",
      "protocol/Router.ts",
      `  state.generation++
`,
      `  state.generation++
  state.routesMade = 0
`,
    ),
    world: "by script",
  },
  liveAtTheEnd: patch(
    "LIVE only where the own barrier is the last in the mailbox",
    "protocol/Session.ts",
    `if (whole && page.short) meetEnd(state, page.records.at(-1), before)`,
    `meetEnd(state, page.records.findLast(({ value }) => isBarrier(value)), before)`,
  ),
  liveByOnePage: {
    ...patch(
      "LIVE by one page, not by the end of the next",
      "protocol/Session.ts",
      `if (whole && page.short) meetEnd(state, page.records.at(-1), before)`,
      `const self = state as unknown as { last: Item | undefined }
  self.last = page.records.at(-1) ?? self.last
  if (whole && page.short) meetEnd(state, self.last, page.records.length > 0 ? before : start)`,
    ),
    world: "by script",
  },
  onlyTheNewestBarrier: {
    ...patch(
      "of a session's barriers the newest alone ends that one is under way",
      "protocol/Session.ts",
      `else if (barrier.number === state.number) state.barrier = undefined`,
      `else state.barrier = undefined`,
    ),
    world: "under traffic",
  },
  barrierInItsTurn: patch(
    "a barrier waits for what stands before it of its client",
    "protocol/EventOrder.ts",
    `    if (queue !== undefined) {
      this.queue(queue, item)`,
    `    if (queue !== undefined && item.isHandled) {
      this.queue(queue, item)`,
  ),
  oneProduceUnderWay: patch(
    "one produce of results is under way at a time",
    "protocol/EventOrder.ts",
    `if (this.underWay !== undefined || this.ready.length === 0) return undefined`,
    `if (this.ready.length === 0) return undefined`,
  ),
  finishedIsAcknowledged: patch(
    "finished is what the results topic has acknowledged",
    "protocol/EventOrder.ts",
    `    return this.underWay
`,
    `    for (const { offset } of this.underWay) this.finishedSet.finish(offset)
    return this.underWay
`,
  ),
  olderStays: patch(
    "a put keeps the older of two with one seq",
    "services/MailboxMemory.ts",
    `    if (box.records[at]?.seq === record.seq) return
`,
    `    if (box.records[at]?.seq === record.seq) {
      box.records[at] = record
      return
    }
`,
  ),
  commitWaits: patch(
    "the commit waits for all before it",
    "protocol/internal/Outstanding.ts",
    `if (this.first === this.marks.length) this.commit = next`,
    `this.commit = next
    if (this.first === this.marks.length) return`,
  ),
  putsInOrder: worldPatch(
    "puts in order",
    "world/ReplayWorker.ts",
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
      "services/MailboxMemory.ts",
      `if (partition.offset !== chunk.expected) return { _tag: "Differs", stored: partition.offset }`,
    ),
    faults: ["mailboxes roll back", "mailboxes wiped"],
  },
  ownReadPosition: {
    ...patch(
      "memory kept only with the own read position",
      "protocol/Router.ts",
      `if (chunk.from !== state.position) forget(state)`,
    ),
    world: "by script",
  },
  window: patch("window", "protocol/internal/Sending.ts", `=> !stalled && window.isOpen`, `=> !stalled`),
  epochNotBelowStored: patch("epoch ≥ stored", "protocol/Status.ts", `to.epoch < stored.epoch ||`),
  sameEpochOtherPod: patch(
    "of two sessions with one epoch, the newer holds",
    "protocol/Status.ts",
    `to.epoch < stored.epoch || (to.epoch === stored.epoch && to.pod !== stored.pod)`,
    `to.epoch < stored.epoch`,
  ),
  epochsOfAPodGrow: patch(
    "a pod never uses an epoch of its own twice",
    "protocol/PodEpochs.ts",
    `this.last = Math.max(this.last + 1, now_ms)`,
    `this.last = now_ms`,
  ),
  epochsFromClock: patch(
    "epochs grow across a wipe",
    "protocol/Status.ts",
    `from === undefined ? atLeast :`,
    `from === undefined ? Epoch.make(1) :`,
  ),
  divertOnBarrier: patch("divert on barrier", "protocol/Router.ts", `divert(state, clientId, "barrier")`),
  divertInOrder: patch(
    "divert in order",
    "protocol/Router.ts",
    `const { index, record, seq } = route.inflight[i]!`,
    `const { index, record, seq } = route.inflight[route.inflight.length - 1 - (i - route.first)]!`,
  ),
  shelveWithoutRoute: patch(
    "a router begins with empty memory and shelves who has no route",
    "protocol/Router.ts",
    `if (route === undefined) spill(state, record, state.outstanding.spilled(record.offset))
  else push(state, clientId, route, seq, record, out)`,
    `if (route === undefined) state.outstanding.done(state.outstanding.spilled(record.offset))
  else push(state, clientId, route, seq, record, out)`,
  ),
  floor: patch("floor", "protocol/internal/Sending.ts", `if (page.floor > state.delivered) {`, `if (false) {`),
  hole: patch("hole", "protocol/internal/Sending.ts", `if (page.hole > state.toldHole &&`, `if (false &&`),
  lossIsSent: patch(
    "a loss counts as sent",
    "protocol/internal/Sending.ts",
    `window.results === 0 && lossProof === undefined`,
    `window.results === 0`,
  ),
  sweep: worldPatch("the sweep looks for mail", "world/Connection.ts", `if (isWaiting) this.mail()`),
} as const satisfies Record<string, Patch>

export type RuleName = keyof typeof rules

const isRuleName = (name: string): name is RuleName => Object.hasOwn(rules, name)

export const ruleNames: ReadonlyArray<RuleName> = Object.keys(rules).filter(isRuleName)
