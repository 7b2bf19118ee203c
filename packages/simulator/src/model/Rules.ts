/** The rules of the protocol that can be taken out of the specification, to show that an invariant fails without them. */
import type { Macros, Spec } from "./Mixes.ts"

export interface Rule {
  readonly spec: Spec
  /** Taken out by `-DNO_RULE_<macro>`. */
  readonly macro: string
  /** In the words of docs/protocol.md. */
  readonly rule: string
  /** With these bounds the specification holds with the rule, and fails without. */
  readonly macros: Macros
}

const rule = (macro: string, rule: string, macros: Macros): Rule => ({ spec: "nimbus", macro, rule, macros })
const ofTasks = (macro: string, rule: string, macros: Macros): Rule => ({
  spec: "tasks",
  macro: `TASK_${macro}`,
  rule: `tasks: ${rule}`,
  macros,
})

const base = { EVENTS: 2, SESSIONS: 2, BARRIERS: 2 }
const one = { EVENTS: 2, SESSIONS: 1, BARRIERS: 1 }
/** A router that has forgotten its clients reads a repeated barrier. */
const trap = { ...one, LATE_RESULTS: 1, TAKEOVERS: 1, DLQ: 1, NACKS: 0 }
/** The client is offline. */
const nobody = { EVENTS: 1, SESSIONS: 0, BARRIERS: 0 }
const registry = { EVENTS: 1, SESSIONS: 2, BARRIERS: 1, HALF_OPEN: 1, DEAD_SOCKETS: 1 }

export const rules: ReadonlyArray<Rule> = [
  rule("ORDER_OF_CLIENT", "event consumer: all records of one client are processed in order", { ...one, OWNERS: 1 }),
  rule("BARRIERS_WAIT", "event consumer: a barrier waits for the records before it", { ...one, OWNERS: 1 }),
  rule("ONE_REQUEST", "event consumer: one produce request is in flight", { ...one, OWNERS: 1 }),
  rule("COMMIT_LOWEST_UNFINISHED", "event consumer: the commit is the lowest offset that is not finished", {
    ...nobody,
    OTHERS: 1,
    OWNERS: 2,
  }),
  rule("FINISHED_IS_ACKNOWLEDGED", "event consumer: the commit and its metadata include only finished records", {
    ...nobody,
    OWNERS: 2,
  }),
  rule("REPEATS", "router 1: a seq at or below its route's prev is a repeat", { ...one, LATE_RESULTS: 1 }),
  rule("SPILL_WITHOUT_ROUTE", "router 3: a result without a route is spilled", one),
  rule("DIVERT_ON_BARRIER", "router 4: a barrier diverts the client", base),
  rule("ROUTE_STARTS_AT_BARRIER", "router 4: the route starts with prev = the barrier's seq", one),
  rule("ROUTE_IDS", "a session takes only the pushes of its own route", trap),
  rule("ROUTE_IDS_ARE_USED_ONCE", "a route id is used once", trap),
  rule("DIVERT_IN_ORDER", "a divert spills what is in flight, in order", one),
  rule("ACK_TIMEOUT", "an ack time-out diverts the client", one),
  rule("PRODUCE_ACKNOWLEDGED", "a spilled record is done when the backlog has acknowledged it", {
    ...one,
    SPLIT_PRODUCE: 1,
    TAKEOVERS: 1,
  }),
  rule("COMMIT_WAITS", "the commit waits until all records before it are done", { ...one, TAKEOVERS: 1 }),
  rule("OWN_POSITION", "memory belongs to the read position", {
    ...one,
    TAKEOVERS: 1,
    ZOMBIES: 1,
    RETURNS: 1,
    DLQ: 1,
    NACKS: 0,
  }),
  rule("PUTS_IN_ORDER", "the records of the backlog are put into the mailboxes in order", one),
  rule("OFFSET_WITH_MAILBOXES", "the offset is stored with the mailboxes", { ...one, MAILBOX_ROLLBACKS: 1, DLQ: 6 }),
  rule("PUT_AT_OR_BELOW_ACKED", "a put at or below acked changes nothing", one),
  rule("PUT_KEEPS_OLDER", "a put of a seq that the mailbox has keeps the older record", { ...one, LATE_RESULTS: 1 }),
  rule("AFTER", "delivered starts at the client's after", { ...one, SESSIONS: 2, SLOW_ACKS: 1, SLOW_TRIMS: 1 }),
  rule("PREV", "a push is delivered only if prev ≤ delivered", one),
  rule("HELD_PREV", "a held push is tried again by the same rule", one),
  rule("REPEATED_PUSH", "a push at or below delivered is a repeat", { ...one, REPEATED_PUSHES: 1 }),
  rule("ONLY_CLIENTS_ACK", "only the client's ack is passed on", {
    ...one,
    REPEATED_PUSHES: 1,
    DEAD_SOCKETS: 1,
    SLOW_ACKS: 1,
  }),
  rule("ONLY_CLIENTS_ACK_TRIMS", "only the client's ack trims the mailbox", one),
  rule("BARRIERS_TRIMMED", "when all that was sent is acknowledged, acked = delivered", one),
  rule("WINDOW", "at most window results are not acknowledged", { ...one, WINDOW: 1, SLOW_ACKS: 1 }),
  rule("BARRIER_SETS_DELIVERED", "a barrier that is passed moves delivered", one),
  rule("OWN_BARRIER", "only its own barrier makes a session LIVE", base),
  rule("LIVE_AT_THE_END", "a session is LIVE only if its own barrier is the last record of the mailbox", {
    ...trap,
    NEWER_BARRIERS: 1,
  }),
  rule("LIVE_BY_ONE_PAGE", "a session becomes LIVE by one page, not by the end of the next", {
    ...trap,
    NEWER_BARRIERS: 1,
    MAILBOX_ROLLBACKS: 1,
    DLQ: 3,
  }),
  rule("NEWEST_BARRIER", "only the newest of its barriers ends the wait of a session for a barrier", {
    EVENTS: 1,
    SESSIONS: 1,
    BARRIERS: 2,
    TRAFFIC: 1,
  }),
  rule("BARRIER_AGAIN", "a barrier that does not come back is published again", { ...one, LOST_BARRIERS: 1 }),
  rule("SWEEP", "the sweep looks into the mailbox", base),
  rule("SUPERSEDED_CLOSES", "a session that the registry refuses is superseded, and closes", {
    ...registry,
    REGISTRY_WIPES: 1,
  }),
  rule("EPOCH_NOT_BELOW_STORED", "a write of a lower epoch than the stored one is refused", {
    ...registry,
    REGISTRY_WIPES: 1,
  }),
  rule("LAST_TO_CONNECT_WINS", "a write of an equal epoch from another pod is refused", {
    ...registry,
    REGISTRY_ROLLBACKS: 1,
    CLOCK_STANDS: 1,
  }),
  rule("EPOCHS_OF_A_POD_GROW", "a pod never uses an epoch of its own twice", {
    ...registry,
    REGISTRY_ROLLBACKS: 1,
    CLOCK_STANDS: 1,
  }),
  rule("EPOCH_FROM_CLOCK", "epochs come from the clock, and grow across a wipe", { ...registry, REGISTRY_WIPES: 1 }),
  ofTasks("ATTEMPTS_GROW", "each run that begins is the next attempt", { WORKERS: 2 }),
  ofTasks("FENCE", "parts and the end count from the run of the latest attempt alone", { WORKERS: 2 }),
  ofTasks("RUN_BEGINS_ONCE", "a run begins once", { COPIES: 1 }),
  ofTasks("PARTS", "a part counts if it is the next of its attempt", { COPIES: 1 }),
  ofTasks("END_BEHIND_PARTS", "the end counts behind all parts", { WORKERS: 2, COPIES: 1 }),
  ofTasks("ONE_END", "a task is open from its event to its one end", { COPIES: 1 }),
  ofTasks("OLDEST", "a reader that starts over reads from the oldest task that is open", { CONSUMERS: 1 }),
  ofTasks("ENDED_STAYS", "a task that ended above the commit is read back", { CONSUMERS: 1 }),
  ofTasks("BOTH_PRODUCES", "what became of a record is finished when both topics have it", { CONSUMERS: 1 }),
  ofTasks("BEGIN_IS_ANSWERED", "the begin of a task that is not open is answered by its end", { CONSUMERS: 2 }),
  ofTasks("STARTS_WHEN_BEGUN", "a handler starts when its run has begun by the log", { WORKERS: 2, RESUMES: 1 }),
  ofTasks("BEGUN_ONCE", "a run starts once, however often its begin is written", { CONSUMERS: 2, RESUMES: 1 }),
  ofTasks("OTHER_RUN_FENCES", "a run that another replaced is given up, and the task begins again", { WORKERS: 2 }),
  ofTasks("READS_TO_THE_END", "a worker begins nothing before it has read what was there", { WORKERS: 2 }),
  ofTasks("COMMIT_WAITS", "the worker's commit waits for its oldest task that has not ended", { WORKERS: 1 }),
]
