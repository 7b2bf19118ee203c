/**
 * The rules of tasks (docs/protocol.md, *Tasks*), each with the patch that takes it out of the ledger of the event consumer,
 * the queue of the task worker, or the shells around them. The simulator finds each, in runs with tasks.
 */
import type { Patch } from "./Mutant.ts"

const patch = (of: "domain" | "pipeline", rule: string, file: string, find: string, replace = ""): Patch => ({
  package: of,
  rule: `tasks: ${rule}`,
  file,
  find,
  replace,
  tasks: true,
})

const ledger = "protocol/TaskLedger.ts"
const queue = "protocol/TaskQueue.ts"

export const tasks = {
  attemptsGrow: patch(
    "domain",
    "the begin of a run is the next attempt",
    ledger,
    `  task.attempt++
`,
    `  task.attempt = 1
`,
  ),
  attemptsAreBounded: patch(
    "domain",
    "after `task_attempts` the next begin ends the task",
    ledger,
    `if (task.attempt === state.limits.task_attempts) return`,
    `if (task.attempt > 1_000) return`,
  ),
  runsBeginOnce: patch(
    "domain",
    "a begin that is there twice counts once",
    ledger,
    `  if (task.run === input.run) return ignored("repeat")
`,
  ),
  fenced: patch(
    "domain",
    "parts and the end of earlier runs are fenced",
    ledger,
    `  if (run !== task.run) return ignored("fenced")
`,
  ),
  partsAreNumbered: patch(
    "domain",
    "the parts of an attempt are numbered, and each counts once",
    ledger,
    `if (part === task.next) return undefined`,
    `if (part >= 0) return undefined`,
  ),
  anAttemptBeginsAnew: patch(
    "domain",
    "an attempt begins at part 0, unless the task resumes",
    ledger,
    `if (!task.resumes) task.next = 0`,
    ``,
  ),
  oneEnd: patch(
    "domain",
    "what follows the one end is nothing",
    ledger,
    `task?.clientId === input.clientId && task.ended === undefined ?`,
    `task?.clientId === input.clientId ?`,
  ),
  endedStays: {
    ...patch(
      "domain",
      "a task that has ended above the commit is read back",
      ledger,
      `(state.ended[gone]!.ended ?? commit) < commit; gone++`,
      `(state.ended[gone]!.ended ?? commit) < Infinity; gone++`,
    ),
    faults: ["event consumers crash", "log slow", "log flaky", "partitions move"],
  },
  readsToTheEnd: patch(
    "domain",
    "a worker begins nothing before it has read what was there",
    queue,
    `if (!state.isStopped && state.isCaughtUp) pump(state, out)`,
    `if (!state.isStopped) pump(state, out)`,
  ),
  commitWaits: patch(
    "domain",
    "the worker's commit waits for its oldest task that has not ended",
    queue,
    `    else state.finished.finish(record.offset)
    if (record._tag === "Began")`,
    `    state.finished.finish(record.offset)
    if (record._tag === "Began")`,
  ),
  startsWhenBegun: patch(
    "domain",
    "a handler starts when its own begun has come back",
    queue,
    `  out.push({ _tag: "Begin", task, run })
}`,
    `  out.push({ _tag: "Begin", task, run }, { _tag: "Start", task, run, attempt: 1, next: 0, before: task.offset })
}`,
  ),
  startsOnce: patch(
    "domain",
    "a run starts once, however often its begun is written",
    queue,
    `if (task === undefined || record.attempt <= task.attempt) return`,
    `if (task === undefined) return`,
  ),
  otherRunFences: patch(
    "domain",
    "a run that another has replaced is given up",
    queue,
    `  if (task.run !== record.run) {`,
    `  if (task.run !== record.run) return
  if (task.run !== record.run) {`,
  ),
  fencedBeginsAgain: patch(
    "domain",
    "a task that was fenced begins again",
    queue,
    `    state.fenced.delete(task)
    queue(state, task)`,
    `    state.fenced.delete(task)`,
  ),
  endInterrupts: patch(
    "domain",
    "the end of a task interrupts its handler",
    queue,
    `  interrupt(state, task, out)
  unqueue(state, task)`,
    `  release(state, task)
  unqueue(state, task)`,
  ),
  roomOfAClient: patch(
    "domain",
    "a client has no more handlers at once than its bound",
    queue,
    `  client.slots < options.client_at_once && `,
    `  `,
  ),
  oldestInTheCommit: patch(
    "pipeline",
    "a commit has the oldest task that is open",
    "EventConsumer.ts",
    `oldest: tasks.oldest(order.finished.next)`,
    `oldest: undefined`,
  ),
  bothProduces: patch(
    "pipeline",
    "a batch is finished when both topics have it",
    "internal/Producing.ts",
    `Effect.all([publish(results, items), publish(tasks, notes)], { concurrency: 2, discard: true })`,
    `Effect.andThen(Effect.forkDetach(publish(tasks, notes)), publish(results, items))`,
  ),
  beginIsAnswered: {
    ...patch(
      "pipeline",
      "the begin of a task that is not open is answered by an ended",
      "internal/TaskItems.ts",
      `verdict.why === "unknown" && write.do === "begin" ?`,
      `verdict.why === "gap" && write.do === "begin" ?`,
    ),
    faults: ["publishes late", "zombies go on"],
  },
  repeatsOpenNone: patch(
    "pipeline",
    "a repeat of an id opens none",
    "internal/EventItems.ts",
    `if (first !== undefined || !tasks.has(event)) return first`,
    `if (!tasks.has(event)) return first`,
  ),
  verdictsAreKept: patch(
    "pipeline",
    "what became of a record that is read again is kept",
    "EventConsumer.ts",
    `tasks.spill(item.offset, item.task)`,
    `void 0`,
  ),
  passedCount: patch(
    "pipeline",
    "what is finished above the commit counts for the tasks",
    "internal/EventItems.ts",
    `if (typeof decoded !== "string") this.take(record, decoded)`,
    `if (typeof decoded !== "string" && decoded.write === undefined) this.take(record, decoded)`,
  ),
  expired: patch(
    "pipeline",
    "a task that is older than `NIMBUS_TASK_TTL` is ended",
    "internal/Tasks.ts",
    `if (now_ms - timestamp_ms < this.options.limits.task_ttl_ms) return`,
    `if (now_ms >= timestamp_ms) return`,
  ),
  oneRequest: patch(
    "pipeline",
    "a worker has one request under way",
    "internal/TaskWriter.ts",
    `if (under_way !== undefined || closing) return`,
    `if (closing) return`,
  ),
  endBehindParts: patch(
    "pipeline",
    "the end leaves behind all parts",
    "internal/TaskParts.ts",
    `    this.flush()
    const { run, task } = this.options`,
    `    const { run, task } = this.options`,
  ),
  partsAreRead: {
    ...patch(
      "pipeline",
      "each part of earlier attempts is told once",
      "internal/TaskInputs.ts",
      `if (note.success.part === next + parts.length && next + parts.length < count)`,
      `if (next + parts.length < count)`,
    ),
    faults: ["event consumers crash", "publishes late", "task workers crash"],
  },
} as const satisfies Record<string, Patch>
