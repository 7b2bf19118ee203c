/**
 * Bugs for the shells around the rules: mistakes that a consumer, a gateway or a client could make although its core
 * decides correctly. Earlier versions had some of them. The simulator finds each: see docs/mutations.md.
 */
import type { Patch } from "./Mutant.ts"

export interface ShellPatch extends Patch {
  readonly package: "pipeline" | "gateway" | "client"
}

const patch = (of: ShellPatch["package"], rule: string, file: string, find: string, replace = ""): ShellPatch => ({
  package: of,
  rule,
  file,
  find,
  replace,
})

export const shells: Readonly<Record<string, ShellPatch>> = {
  trimByDelivered: patch(
    "gateway",
    "the mailbox is trimmed by what the client acknowledged, not by what was delivered",
    "delivery/Connection.ts",
    `const { acked } = this.session`,
    `const acked = this.session.delivered`,
  ),
  failedBatchAgain: patch(
    "gateway",
    "only the client sends again what the log may have",
    "delivery/Intake.ts",
    `giveUp(queue, batch)`,
    `queue.entries = [...batch, ...queue.entries]`,
  ),
  olderStays: {
    ...patch(
      "gateway",
      "of two sessions that open at the same time, the newer one stays",
      "delivery/Opening.ts",
      `    if (other !== undefined && other.session.epoch > connection.session.epoch) connection.superseded()
    else {
      other?.superseded()
`,
      `    {
`,
    ),
    faults: ["intruders", "registry slow", "mailboxes slow"],
  },
  intakeUnbounded: patch(
    "gateway",
    "sockets are not read while `intake_bytes` wait for the log",
    "delivery/Intake.ts",
    `      sender.pause()
`,
  ),
  trimsUnbounded: patch(
    "gateway",
    "only the latest trim of a client waits",
    "delivery/AckSender.ts",
    `trims.set(clientId, seq)`,
    `trims.set((clientId + seq) as ClientId, seq)`,
  ),
  closedStillReplaying: patch(
    "gateway",
    "a session that has ended receives no ticks of the timer",
    "delivery/Connection.ts",
    `    replaying.delete(this)
    held`,
    `    held`,
  ),
  spilledBeforeAcknowledged: patch(
    "pipeline",
    "a record is done when the backlog has acknowledged it",
    "ResultConsumer.ts",
    `    return Effect.andThen(write(spill), () => {
      step([{ _tag: "Spilled", spill }])`,
    `    step([{ _tag: "Spilled", spill }])
    return Effect.andThen(write(spill), () => {`,
  ),
  spillUnbounded: {
    ...patch(
      "pipeline",
      "nothing is read while more than `shelf_records` wait for the backlog",
      "ResultConsumer.ts",
      `if (Router.spillSize(router) > limits.shelf_records) {`,
      `if (false) {`,
    ),
    faults: ["log away", "log slow"],
  },
  outstandingUnbounded: patch(
    "pipeline",
    "nothing is read while more than `outstanding_records` are not done",
    "ResultConsumer.ts",
    `if (router.outstanding.size > limits.outstanding_records) {`,
    `if (false) {`,
  ),
  lateStepsUnbounded: patch(
    "pipeline",
    "at most `late_steps` steps of journeys wait",
    "ResultConsumer.ts",
    `late_steps: limits.late_steps`,
    `late_steps: Infinity`,
  ),
  storedOffsetIgnored: patch(
    "pipeline",
    "the backlog is read from the offset that is stored with the mailboxes",
    "ReplayConsumer.ts",
    `assigned.read(stored ?? "earliest")`,
    `assigned.read("committed")`,
  ),
  quietRollbackUnnoticed: {
    ...patch(
      "pipeline",
      "a store that rolled back is noticed while there are no new records",
      "ReplayConsumer.ts",
      `Effect.raceFirst(reading, rolledBack)`,
      `reading`,
    ),
    faults: ["pods deaf", "mailboxes wiped", "mailboxes roll back"],
  },
  handledBeforeAcknowledged: patch(
    "pipeline",
    "the commit of the events follows the acknowledged produce",
    "internal/Producing.ts",
    `    return batch === undefined ? Effect.void : Effect.andThen(produce(batch), drain)`,
    `    if (batch === undefined) return Effect.void
    order.acknowledged()
    finished()
    return Effect.andThen(produce(batch), drain)`,
  ),
  waitingTakenForGone: patch(
    "pipeline",
    "records that wait to be read again are not taken for lost",
    "internal/ReadAgain.ts",
    `if (chunk.from > at) yield*`,
    `yield*`,
  ),
  idsNotReadBack: patch(
    "pipeline",
    "event consumer: the ids before the commit are read back",
    "EventConsumer.ts",
    `let at = repeats.from(work.oldest)`,
    `let at = commit`,
  ),
  finishedIdsForgotten: patch(
    "pipeline",
    "event consumer: what is finished above the commit counts for repeats",
    "EventConsumer.ts",
    `if (order.finished.has(record.offset)) return items.pass(record)`,
    `if (order.finished.has(record.offset)) return order.finished.next > record.offset ? items.pass(record) : undefined`,
  ),
  verdictForgotten: patch(
    "pipeline",
    "event consumer: a repeat that is read again is one",
    "EventConsumer.ts",
    `repeats.spill(item.offset, item.repeated)`,
    `void 0`,
  ),
  repeatsHandled: patch(
    "pipeline",
    "event consumer: an id that was used in the window is a repeat",
    "internal/Repeats.ts",
    `return first === undefined ? undefined : seqUnsafe(first)`,
    `return first === undefined || first >= 0 ? undefined : seqUnsafe(first)`,
  ),
  failedPublishForgotten: patch(
    "pipeline",
    "a publish is retried until it is acknowledged",
    "internal/Publish.ts",
    `log.publish(topic, partition, part)`,
    `Effect.catch(log.publish(topic, partition, part), () => Effect.succeed(0))`,
  ),
  publishOutlivesItsWorker: {
    ...patch(
      "pipeline",
      "one publish is in flight per partition",
      "internal/Producing.ts",
      `      return under_way === undefined ? Effect.void : Fiber.interrupt(under_way)`,
      `      return Effect.void`,
    ),
    faults: ["log flaky"],
  },
  writtenBeforeSaved: patch(
    "client",
    "the client sends only what its memory has saved",
    "Outbox.ts",
    `Effect.andThen(memory.save(clientId, taken), restore(written))`,
    `Effect.andThen(restore(written), memory.save(clientId, taken))`,
  ),
  settledStaysWritten: patch(
    "client",
    "an event that was accepted is forgotten",
    "Core.ts",
    `  for (const id of ids) state.written.delete(id)
`,
  ),
  doubtBeforeSent: patch(
    "client",
    "an event is remembered before the doubt about it",
    "Core.ts",
    `  Tasks.remember(state, { _tag: "Sent", events: fresh }, out)
  if (named) doubt(state, fresh, out)`,
    `  if (named) doubt(state, fresh, out)
  Tasks.remember(state, { _tag: "Sent", events: fresh }, out)`,
  ),
}
