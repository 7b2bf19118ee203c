/**
 * Each rule of docs/protocol.md has one exported function that carries it, and a mutant, the code or the model without
 * the rule, which docs/mutations.md says was caught.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..")

interface Carried {
  /** How the rule begins in docs/protocol.md. */
  readonly rule: string
  /** Below `packages`: the file, and what it exports. */
  readonly by: string
  /** Its row in docs/mutations.md. */
  readonly mutant: string
}

const status = "domain/src/protocol/Status.ts"
const order = "domain/src/protocol/EventOrder.ts#EventOrder"
const ledger = "domain/src/protocol/TaskLedger.ts#step"
const router = "domain/src/protocol/Router.ts#step"
const session = "domain/src/protocol/Session.ts#step"
const replay = "pipeline/src/ReplayConsumer.ts#layerWith"
const presences = "gateway/src/delivery/Presences.ts#makePresences"

const carried: Readonly<Record<string, ReadonlyArray<Carried>>> = {
  Status: [
    {
      rule: "`Connect` assigns the epoch",
      by: `${status}#transition`,
      mutant: "epochs come from the clock, and grow across a wipe",
    },
    {
      rule: "A write with a lower epoch",
      by: `${status}#isSuperseded`,
      mutant: "a write of a lower epoch than the stored one is refused",
    },
    {
      rule: "**A write of an equal epoch from another pod",
      by: `${status}#isSuperseded`,
      mutant: "a write of an equal epoch from another pod is refused",
    },
    {
      rule: "**A pod never uses an epoch of its own twice.**",
      by: "domain/src/protocol/PodEpochs.ts#PodEpochs",
      mutant: "a pod never uses an epoch of its own twice",
    },
    {
      rule: "A client counts as OFFLINE",
      by: `${status}#seenWith`,
      mutant: "a client whose pod has no lease counts as OFFLINE",
    },
  ],
  "Event consumer": [
    {
      rule: "**All records of one client are processed in order**",
      by: order,
      mutant: "event consumer: all records of one client are processed in order",
    },
    {
      rule: "One produce request is in flight per partition.",
      by: order,
      mutant: "event consumer: one produce request is in flight",
    },
    {
      rule: "The commit is the lowest offset that is not finished.",
      by: "domain/src/protocol/FinishedSet.ts#FinishedSet",
      mutant: "event consumer: the commit is the lowest offset that is not finished",
    },
    {
      rule: "The commit and its metadata include only finished records",
      by: "domain/src/protocol/FinishedSet.ts#FinishedSet",
      mutant: "event consumer: the commit and its metadata include only finished records",
    },
    {
      rule: "The records that are read and not finished are bounded",
      by: order,
      mutant: "records that wait to be read again are not taken for lost",
    },
    {
      rule: "Of a name with `at_once` no more handlers run than that",
      by: "domain/src/protocol/Slots.ts#Slots",
      mutant: "of a name with a limit no more handlers run than it has slots",
    },
    {
      rule: "An event whose name no handler has is not answered before",
      by: order,
      mutant: "an event whose name no handler has waits",
    },
    {
      rule: "**An event or a message whose id its client has used within the last `dedupe_records`",
      by: "domain/src/protocol/RepeatWindow.ts#RepeatWindow",
      mutant: "event consumer: an id that was used in the window is a repeat",
    },
  ],
  Tasks: [
    {
      rule: "A task is open from its event to its one end.",
      by: ledger,
      mutant: "tasks: a task is open from its event to its one end",
    },
    {
      rule: "A `begin` of an open task makes the next *attempt*.",
      by: ledger,
      mutant: "tasks: parts and the end count from the run of the latest attempt alone",
    },
    {
      rule: "The parts of an attempt are numbered without a gap",
      by: ledger,
      mutant: "tasks: a part counts if it is the next of its attempt",
    },
    {
      rule: "The first record that ends an open task is its one end",
      by: ledger,
      mutant: "tasks: the end counts behind all parts",
    },
    {
      rule: "A handler starts after its own `begun` has come back",
      by: "domain/src/protocol/TaskQueue.ts#step",
      mutant: "tasks: a handler starts when its run has begun by the log",
    },
    {
      rule: "What leaves for a record takes the turn of its client",
      by: "pipeline/src/internal/Producing.ts#make",
      mutant: "tasks: what became of a record is finished when both topics have it",
    },
    {
      rule: "A commit also has the seq of the oldest task",
      by: "domain/src/protocol/TaskLedger.ts#oldest",
      mutant: "tasks: a reader that starts over reads from the oldest task that is open",
    },
    { rule: "A task is open from its event", by: ledger, mutant: "tasks: a repeat of an id opens none" },
    { rule: "A `begin` of an open task", by: ledger, mutant: "tasks: parts and the end of earlier runs are fenced" },
    { rule: "A `begin` of an open task", by: ledger, mutant: "tasks: the begin of a run is the next attempt" },
    { rule: "A `begin` of an open task", by: ledger, mutant: "tasks: a begin that is there twice counts once" },
    {
      rule: "A `begin` of an open task",
      by: ledger,
      mutant: "tasks: after `task_attempts` the next begin ends the task",
    },
    {
      rule: "The parts of an attempt are numbered",
      by: ledger,
      mutant: "tasks: the parts of an attempt are numbered, and each counts once",
    },
    {
      rule: "The parts of an attempt are numbered",
      by: ledger,
      mutant: "tasks: an attempt begins at part 0, unless the task resumes",
    },
    { rule: "The first record that ends", by: ledger, mutant: "tasks: what follows the one end is nothing" },
    {
      rule: "A handler starts after its own",
      by: "domain/src/protocol/TaskQueue.ts#step",
      mutant: "tasks: a handler starts when its own begun has come back",
    },
    {
      rule: "A handler starts after its own",
      by: "pipeline/src/internal/TaskItems.ts#ofWrite",
      mutant: "tasks: the begin of a task that is not open is answered by an ended",
    },
    {
      rule: "What leaves for a record",
      by: "pipeline/src/internal/Producing.ts#make",
      mutant: "tasks: a batch is finished when both topics have it",
    },
    {
      rule: "A commit also has the seq",
      by: "domain/src/protocol/TaskLedger.ts#oldest",
      mutant: "tasks: a commit has the oldest task that is open",
    },
    {
      rule: "Beyond `client_open_tasks`",
      by: "pipeline/src/internal/TaskStops.ts#stopTasks",
      mutant: "tasks: a task that is older than `NIMBUS_TASK_TTL` is ended",
    },
  ],
  "Result consumer: the router": [
    {
      rule: "If `c` has a route, and the seq is at or below its `prev`",
      by: router,
      mutant: "router 1: a seq at or below its route's prev is a repeat",
    },
    {
      rule: "If it is a result, and `c` has a route, push it there",
      by: router,
      mutant: "a session takes only the pushes of its own route",
    },
    {
      rule: "If it is a result, and `c` has no route, spill it.",
      by: router,
      mutant: "router 3: a result without a route is spilled",
    },
    { rule: "If it is a barrier, divert `c`", by: router, mutant: "router 4: a barrier diverts the client" },
    { rule: "An ack removes what is in flight", by: router, mutant: "an ack time-out diverts the client" },
    {
      rule: "One backlog produce is in flight at a time",
      by: router,
      mutant: "a record is done when the backlog has acknowledged it",
    },
    {
      rule: "The commit is the offset after the last record",
      by: router,
      mutant: "the commit waits until all records before it are done",
    },
    {
      rule: "*Memory belongs to the read position.*",
      by: router,
      mutant: "memory belongs to the read position",
    },
  ],
  "Replay consumer": [
    { rule: "It reads a backlog partition in order", by: replay, mutant: "the offset is stored with the mailboxes" },
    {
      rule: "While there are no new records it compares periodically",
      by: replay,
      mutant: "a store that rolled back is noticed while there are no new records",
    },
    {
      rule: "A put of a seq that the mailbox already has **keeps the older record**",
      by: "domain/src/services/MailboxMemory.ts#makeMemory",
      mutant: "a put of a seq that the mailbox has keeps the older record",
    },
  ],
  "Gateway: the session": [
    { rule: "`delivered` starts at max(", by: session, mutant: "delivered starts at the client's after" },
    { rule: "*from the mailbox*", by: session, mutant: "a barrier that is passed moves delivered" },
    { rule: "*from a push*", by: session, mutant: "a push is delivered only if prev ≤ delivered" },
    {
      rule: "A push at or below `delivered` is a repeat.",
      by: session,
      mutant: "a push at or below delivered is a repeat",
    },
    {
      rule: "A push above `delivered` can't be delivered if",
      by: session,
      mutant: "a held push is tried again by the same rule",
    },
    {
      rule: "At most `window` results are delivered and not acknowledged.",
      by: session,
      mutant: "at most window results are not acknowledged",
    },
    {
      rule: "The held pushes are bounded in results and bytes.",
      by: session,
      mutant: "the held pushes are bounded",
    },
    { rule: "Only the ack of the client is passed on", by: session, mutant: "only the client's ack is passed on" },
    {
      rule: "**REPLAYING**",
      by: session,
      mutant: "only the newest of its barriers ends the wait of a session for a barrier",
    },
    {
      rule: "**LIVE**:",
      by: session,
      mutant: "a session is LIVE only if its own barrier is the last record of the mailbox",
    },
    { rule: "**LIVE → REPLAYING**", by: session, mutant: "the sweep looks into the mailbox" },
    { rule: "**Sweep**", by: presences, mutant: "a session that the registry refuses is superseded, and closes" },
  ],
}

const sections = new Map(
  readFileSync(join(root, "docs/protocol.md"), "utf8")
    .split(/^## /m)
    .map((section): [string, string] => {
      const end = section.indexOf("\n")
      return [section.slice(0, end), section.slice(end)]
    }),
)

/** What is written as a rule: an item of a numbered list, a paragraph that begins in bold, and of the session a point of a list. */
const written = (name: string): ReadonlyArray<string> => {
  const text = sections.get(name) ?? ""
  const points = name === "Gateway: the session" ? [...text.matchAll(/^- (.*)$/gm)] : []
  return [...text.matchAll(/^\d\. (.*)$/gm), ...points, ...text.matchAll(/^(\*\*[^*]+\*\*.*)$/gm)].map(
    (match) => match[1]!,
  )
}

const caught = new Set(
  readFileSync(join(root, "docs/mutations.md"), "utf8")
    .split("\n")
    .map((row) => row.split(" | "))
    .filter((cells) => cells.slice(1).some((cell) => / after \d|by a script/.test(cell)))
    .map(([rule = ""]) => rule.slice(2)),
)

describe("the rules of docs/protocol.md", () => {
  it.each(Object.keys(carried))("%s: each that is written is carried, and each that is carried is written", (name) => {
    const rules = carried[name]!
    for (const rule of written(name))
      assert.isTrue(
        rules.some((one) => rule.startsWith(one.rule)),
        rule,
      )
    for (const { rule } of rules) assert.include(sections.get(name), rule)
  })

  it.each(Object.values(carried).flat())("$rule … is carried by $by", async ({ by }) => {
    const [file = "", name = ""] = by.split("#")
    const module: Readonly<Record<string, unknown>> = await import(join(root, "packages", file))
    assert.isFunction(module[name], by)
  })

  it.each(Object.values(carried).flat())("$rule … fails where it is left out", ({ mutant }) => {
    assert.isTrue(caught.has(mutant), mutant)
  })
})
