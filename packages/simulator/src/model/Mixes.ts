/**
 * What is checked: mixes of faults, each with bounds that a machine can exhaust. The names of the bounds are those of
 * spec/bounds.pml and spec/tasks.pml; what is not named is at its default there.
 */
export type Macros = Readonly<Record<string, number>>

/** Which specification: that of delivery, or that of tasks. */
export type Spec = "nimbus" | "tasks"

export interface Mix {
  readonly name: string
  readonly spec: Spec
  /** Within a few minutes and 4 GB. */
  readonly macros: Macros
  /** Within a few seconds, for CI. */
  readonly short: Macros
}

const base = { EVENTS: 2, SESSIONS: 2, BARRIERS: 2 }
const sweepOnly = { HALF_OPEN: 1, DEAD_SOCKETS: 1 }

const delivery: ReadonlyArray<Omit<Mix, "spec">> = [
  {
    name: "datagrams lost, late, reordered, repeated; sockets die",
    macros: { EVENTS: 3, SESSIONS: 2, BARRIERS: 3 },
    short: base,
  },
  {
    name: "dead sockets linger, acks are late, pushes come again",
    macros: { ...base, REPEATED_PUSHES: 1, DEAD_SOCKETS: 1, SLOW_ACKS: 1 },
    short: { ...base, SESSIONS: 1, REPEATED_PUSHES: 1, DEAD_SOCKETS: 1, SLOW_ACKS: 1 },
  },
  {
    name: "a client without memory, late trims",
    macros: { EVENTS: 3, SESSIONS: 3, BARRIERS: 2, SLOW_ACKS: 1, SLOW_TRIMS: 1, REMEMBERS: 0 },
    short: { ...base, BARRIERS: 1, SLOW_ACKS: 1, SLOW_TRIMS: 1, REMEMBERS: 0 },
  },
  {
    name: "pages of the mailbox arrive late",
    macros: { ...base, STALE_PAGES: 1, DEAD_SOCKETS: 1 },
    short: { ...base, STALE_PAGES: 1 },
  },
  {
    name: "event consumers run again, produce late",
    macros: { ...base, SLOW_HANDLERS: 1, LATE_RESULTS: 1 },
    short: { ...base, BARRIERS: 1, SLOW_HANDLERS: 1, LATE_RESULTS: 1 },
  },
  {
    name: "routers crash",
    macros: { ...base, TAKEOVERS: 1 },
    short: { ...base, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1 },
  },
  {
    name: "routers crash, results come again",
    macros: { ...base, SESSIONS: 1, TAKEOVERS: 1, LATE_RESULTS: 1, DLQ: 3 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, LATE_RESULTS: 1 },
  },
  {
    name: "zombie routers",
    macros: { ...base, BARRIERS: 1, TAKEOVERS: 1, ZOMBIES: 1 },
    short: { ...base, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, ZOMBIES: 1 },
  },
  {
    name: "zombie routers get the partition back",
    macros: { ...base, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, ZOMBIES: 1, RETURNS: 1 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, ZOMBIES: 1, RETURNS: 1 },
  },
  {
    name: "backlog produces are repeated, and late",
    macros: { ...base, SPLIT_PRODUCE: 1, RETRIES: 1 },
    short: { ...base, SESSIONS: 1, BARRIERS: 1, SPLIT_PRODUCE: 1, RETRIES: 1 },
  },
  {
    name: "the mailboxes roll back, routers crash",
    macros: { ...base, SESSIONS: 1, MAILBOX_ROLLBACKS: 1, TAKEOVERS: 1, DLQ: 6 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, MAILBOX_ROLLBACKS: 1, TAKEOVERS: 1 },
  },
  {
    name: "the registry rolls back, the clock stands still",
    macros: { EVENTS: 1, SESSIONS: 3, BARRIERS: 2, REGISTRY_ROLLBACKS: 1, CLOCK_STANDS: 1, ...sweepOnly },
    short: { EVENTS: 1, SESSIONS: 2, BARRIERS: 1, REGISTRY_ROLLBACKS: 1, CLOCK_STANDS: 1, ...sweepOnly },
  },
  {
    name: "the registry is wiped",
    macros: { EVENTS: 1, SESSIONS: 3, BARRIERS: 2, REGISTRY_WIPES: 1, ...sweepOnly },
    short: { EVENTS: 1, SESSIONS: 2, BARRIERS: 2, REGISTRY_WIPES: 1, ...sweepOnly },
  },
  {
    name: "pods crash",
    macros: { EVENTS: 2, SESSIONS: 3, BARRIERS: 2, CRASHES: 1 },
    short: { ...base, CRASHES: 1 },
  },
  {
    name: "barriers are lost",
    macros: { EVENTS: 2, SESSIONS: 2, BARRIERS: 2, LOST_BARRIERS: 2 },
    short: { ...base, SESSIONS: 1, LOST_BARRIERS: 1 },
  },
  {
    name: "a second client in the partition, who is offline",
    macros: { ...base, SESSIONS: 1, BARRIERS: 1, OTHERS: 2, TAKEOVERS: 1 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, OTHERS: 2, TAKEOVERS: 1 },
  },
  {
    name: "results of two clients in any order",
    macros: { ...base, SESSIONS: 1, OTHERS: 1, SLOW_HANDLERS: 1, LATE_RESULTS: 1 },
    short: { ...base, SESSIONS: 1, BARRIERS: 1, OTHERS: 1, SLOW_HANDLERS: 1 },
  },
  {
    name: "event consumers follow one another, requests are late, metadata is lost",
    macros: { EVENTS: 2, SESSIONS: 1, BARRIERS: 1, OWNERS: 2 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, OWNERS: 2 },
  },
  {
    name: "the same with three of them, the client is offline",
    macros: { EVENTS: 2, SESSIONS: 0, BARRIERS: 0, OWNERS: 3 },
    short: { EVENTS: 2, SESSIONS: 0, BARRIERS: 0, OWNERS: 3 },
  },
  {
    name: "the same with a second client",
    macros: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, OTHERS: 1, OWNERS: 2 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 0, OTHERS: 1, OWNERS: 2 },
  },
  {
    name: "the same, routers crash",
    macros: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, OWNERS: 2, TAKEOVERS: 1 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, OWNERS: 2, TAKEOVERS: 1, NACKS: 0 },
  },
  {
    name: "a mailbox that keeps newer barriers, routers crash, results come again",
    macros: { ...base, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, LATE_RESULTS: 1, NEWER_BARRIERS: 1 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, LATE_RESULTS: 1, NEWER_BARRIERS: 1 },
  },
  {
    name: "backlog produces of zombies are late",
    macros: { ...base, SESSIONS: 1, BARRIERS: 1, SPLIT_PRODUCE: 1, TAKEOVERS: 1, ZOMBIES: 1, RETRIES: 1 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, SPLIT_PRODUCE: 1, TAKEOVERS: 1, ZOMBIES: 1 },
  },
  {
    name: "under traffic: barriers are lost, sockets die",
    macros: { ...base, LOST_BARRIERS: 1, TRAFFIC: 1 },
    short: { ...base, SESSIONS: 1, LOST_BARRIERS: 1, TRAFFIC: 1 },
  },
  {
    name: "under traffic: routers crash, results come again",
    macros: { EVENTS: 1, SESSIONS: 1, BARRIERS: 2, TAKEOVERS: 1, LATE_RESULTS: 1, TRAFFIC: 1 },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, LATE_RESULTS: 1, TRAFFIC: 1 },
  },
  {
    name: "nearly everything at once",
    macros: {
      EVENTS: 1,
      SESSIONS: 2,
      BARRIERS: 1,
      TAKEOVERS: 1,
      ZOMBIES: 1,
      LATE_RESULTS: 1,
      MAILBOX_ROLLBACKS: 1,
      CRASHES: 1,
      DLQ: 4,
    },
    short: { EVENTS: 1, SESSIONS: 1, BARRIERS: 1, TAKEOVERS: 1, ZOMBIES: 1, MAILBOX_ROLLBACKS: 1 },
  },
]

const followers = { CONSUMERS: 2, WORKERS: 2, PARTS: 1 }

const tasks: ReadonlyArray<Omit<Mix, "spec">> = [
  {
    name: "tasks: workers follow one another, cancels, records come again",
    macros: { WORKERS: 2, COPIES: 1, CANCELS: 1 },
    short: { WORKERS: 2, COPIES: 1, CANCELS: 1, PARTS: 1 },
  },
  {
    name: "tasks that resume: workers follow one another, cancels",
    macros: { WORKERS: 2, CANCELS: 1, RESUMES: 1, RUNS: 3 },
    short: { WORKERS: 2, CANCELS: 1, RESUMES: 1 },
  },
  {
    name: "tasks: event consumers follow one another, cancels, records come again",
    macros: { CONSUMERS: 2, COPIES: 1, CANCELS: 1 },
    short: { CONSUMERS: 2, COPIES: 1, CANCELS: 1, RUNS: 1 },
  },
  {
    name: "tasks that resume: event consumers follow one another, cancels, records come again",
    macros: { CONSUMERS: 2, COPIES: 1, CANCELS: 1, RESUMES: 1 },
    short: { CONSUMERS: 2, COPIES: 1, CANCELS: 1, RESUMES: 1, RUNS: 1, PARTS: 1 },
  },
  {
    name: "tasks: handlers fail and begin again, workers follow one another, records come again",
    macros: { WORKERS: 2, RETRIES: 1, COPIES: 1, PARTS: 1 },
    short: { WORKERS: 2, RETRIES: 1, COPIES: 1, PARTS: 1, RUNS: 1 },
  },
  {
    name: "tasks that resume: handlers fail and go on, workers follow one another",
    macros: { WORKERS: 2, RETRIES: 1, RESUMES: 1, CANCELS: 1 },
    short: { WORKERS: 2, RETRIES: 1, RESUMES: 1, CANCELS: 1, RUNS: 1, PARTS: 1 },
  },
  {
    name: "tasks: both follow one another, cancels",
    macros: { ...followers, CANCELS: 1 },
    short: { ...followers, CANCELS: 1, RUNS: 1 },
  },
  {
    name: "tasks that resume: both follow one another",
    macros: { ...followers, RESUMES: 1 },
    short: { ...followers, RESUMES: 1, RUNS: 1 },
  },
]

export const mixes: ReadonlyArray<Mix> = [
  ...delivery.map((mix) => Object.assign({ spec: "nimbus" as const }, mix)),
  ...tasks.map((mix) => Object.assign({ spec: "tasks" as const }, mix)),
]
