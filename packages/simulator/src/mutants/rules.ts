/** The rules of the protocol, each with the patch that removes it from the code. */
import { domainPatch as patch, type Patch } from "./Mutant.ts"

/** A patch of code with which the world stands in for a shell. */
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
    "a push is delivered only if prev ≤ delivered",
    "protocol/Session.ts",
    `push.route === state.route && push.prev <= state.delivered`,
    `push.route === state.route`,
  ),
  heldPushesCheckPrev: patch(
    "a held push is delivered only if prev ≤ delivered",
    "protocol/Session.ts",
    `if (push.prev > state.delivered) return meetOther(state, "gap", out)`,
  ),
  routeStartsAtBarrier: patch(
    "a route starts at the seq of its barrier",
    "protocol/Router.ts",
    `pod: barrier.pod, prev: seq`,
    `pod: barrier.pod, prev: -1`,
  ),
  barrierSetsDelivered: patch(
    "a barrier that is passed moves delivered",
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
    "a session takes only the pushes of its own route",
    "protocol/Router.ts",
    `const id = routeIdOf(state.id, ++state.routesMade)`,
    `const id = routeIdOf("any" as RouterId, 0)`,
  ),
  routeIdsOnce: {
    ...patch(
      "a route id is used once, even if the router forgets everything else",
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
    "a session is LIVE only if its own barrier is the last record of the mailbox",
    "protocol/Session.ts",
    `if (whole && page.short) meetEnd(state, page.records.at(-1), before)`,
    `meetEnd(state, page.records.findLast(({ value }) => isBarrier(value)), before)`,
  ),
  liveByOnePage: {
    ...patch(
      "a session becomes LIVE by one page, not by the end of the next",
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
      "only the newest of its barriers ends the wait of a session for a barrier",
      "protocol/Session.ts",
      `else if (barrier.number === state.number) state.barrier = undefined`,
      `else state.barrier = undefined`,
    ),
    world: "under traffic",
  },
  barrierInItsTurn: patch(
    "a barrier waits for the records of its client before it",
    "protocol/EventOrder.ts",
    `    if (queue !== undefined) {
      this.queue(queue, item)`,
    `    if (queue !== undefined && item.isHandled) {
      this.queue(queue, item)`,
  ),
  oneProduceUnderWay: patch(
    "one produce request of results is in flight at a time",
    "protocol/EventOrder.ts",
    `if (this.underWay !== undefined || this.ready.length === 0) return undefined`,
    `if (this.ready.length === 0) return undefined`,
  ),
  finishedIsAcknowledged: patch(
    "a record is finished when the results topic has acknowledged its outcome",
    "protocol/EventOrder.ts",
    `    return this.underWay
`,
    `    for (const { offset } of this.underWay) this.finishedSet.finish(offset)
    return this.underWay
`,
  ),
  olderStays: patch(
    "a put keeps the older of two records with one seq",
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
    "the commit waits until all records before it are done",
    "protocol/internal/Outstanding.ts",
    `if (this.first === this.marks.length) this.commit = next`,
    `this.commit = next
    if (this.first === this.marks.length) return`,
  ),
  putsInOrder: worldPatch(
    "the records of the backlog are put into the mailboxes in order",
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
      "the offset is stored with the mailboxes",
      "services/MailboxMemory.ts",
      `if (partition.offset !== chunk.expected) return { _tag: "Differs", stored: partition.offset }`,
    ),
    faults: ["mailboxes roll back", "mailboxes wiped"],
  },
  ownReadPosition: {
    ...patch(
      "a router keeps its memory only while it reads on from its own position",
      "protocol/Router.ts",
      `if (chunk.from !== state.position) forget(state)`,
    ),
    world: "by script",
  },
  window: patch(
    "at most window results are not acknowledged",
    "protocol/internal/Sending.ts",
    `=> !stalled && window.isOpen`,
    `=> !stalled`,
  ),
  epochNotBelowStored: patch(
    "a write of a lower epoch than the stored one is refused",
    "protocol/Status.ts",
    `to.epoch < stored.epoch ||`,
  ),
  sameEpochOtherPod: patch(
    "of two sessions with one epoch, the newer one stays",
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
    "epochs grow across a wipe of the registry",
    "protocol/Status.ts",
    `from === undefined ? atLeast :`,
    `from === undefined ? Epoch.make(1) :`,
  ),
  divertOnBarrier: patch("a barrier diverts the client", "protocol/Router.ts", `divert(state, clientId, "barrier")`),
  divertInOrder: patch(
    "a divert spills in order",
    "protocol/Router.ts",
    `const { index, record, seq } = route.inflight[i]!`,
    `const { index, record, seq } = route.inflight[route.inflight.length - 1 - (i - route.first)]!`,
  ),
  spillWithoutRoute: patch(
    "a router starts with an empty memory and spills the results of a client without a route",
    "protocol/Router.ts",
    `if (route === undefined) spill(state, record, state.outstanding.spilled(record.offset))
  else push(state, clientId, route, seq, record, out)`,
    `if (route === undefined) state.outstanding.done(state.outstanding.spilled(record.offset))
  else push(state, clientId, route, seq, record, out)`,
  ),
  floor: patch(
    "records that a limit removed from a mailbox are sent as lost",
    "protocol/internal/Sending.ts",
    `if (page.floor > state.delivered) {`,
    `if (false) {`,
  ),
  hole: patch(
    "records that the backlog lost are sent as lost",
    "protocol/internal/Sending.ts",
    `if (page.hole > state.toldHole &&`,
    `if (false &&`,
  ),
  lossIsSent: patch(
    "a loss counts as sent",
    "protocol/internal/Sending.ts",
    `window.results === 0 && lossProof === undefined`,
    `window.results === 0`,
  ),
  sweep: worldPatch("the sweep looks into the mailbox", "world/Connection.ts", `if (isWaiting) this.mail()`),
} as const satisfies Record<string, Patch>

export type RuleName = keyof typeof rules

const isRuleName = (name: string): name is RuleName => Object.hasOwn(rules, name)

export const ruleNames: ReadonlyArray<RuleName> = Object.keys(rules).filter(isRuleName)
