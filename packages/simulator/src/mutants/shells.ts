/**
 * Bugs for the shells around the rules: what a consumer, a gateway or a client could do wrong though its core decides
 * right. Some of them were there once. The simulator finds each: see docs/mutations.md.
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
      "of two sessions that open at the same time the newer one stays",
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
    "while `intake_bytes` wait for the log, sockets are not read",
    "delivery/Intake.ts",
    `      sender.pause()
`,
  ),
  trimsUnbounded: patch(
    "gateway",
    "of the trims of a client the latest alone waits",
    "delivery/AckSender.ts",
    `trims.set(clientId, seq)`,
    `trims.set((clientId + seq) as ClientId, seq)`,
  ),
  closedStillReplaying: patch(
    "gateway",
    "a session that is over is told of time no more",
    "delivery/Connection.ts",
    `    replaying.delete(this)
    intake`,
    `    intake`,
  ),
  shelvedBeforeAcknowledged: patch(
    "pipeline",
    "a record is done when its dlq write is acknowledged",
    "ResultConsumer.ts",
    `    return Effect.andThen(write(spill), () => {
      step([{ _tag: "Spilled", spill }])`,
    `    step([{ _tag: "Spilled", spill }])
    return Effect.andThen(write(spill), () => {`,
  ),
  shelfUnbounded: {
    ...patch(
      "pipeline",
      "while more than `shelf_records` wait for the dlq nothing is read",
      "ResultConsumer.ts",
      `if (Router.spillSize(router) > limits.shelf_records) {`,
      `if (false) {`,
    ),
    faults: ["log away", "log slow"],
  },
  outstandingUnbounded: patch(
    "pipeline",
    "while more than `outstanding_records` are not done nothing is read",
    "ResultConsumer.ts",
    `if (router.outstanding.size > limits.outstanding_records) {`,
    `if (false) {`,
  ),
  lateStepsUnbounded: patch(
    "pipeline",
    "of journey steps no more than `late_steps` wait",
    "ResultConsumer.ts",
    `late_steps: limits.late_steps`,
    `late_steps: Infinity`,
  ),
  storedOffsetIgnored: patch(
    "pipeline",
    "the dlq is read from the mailboxes' stored offset",
    "ReplayConsumer.ts",
    `assigned.read(stored ?? "earliest")`,
    `assigned.read("committed")`,
  ),
  quietRollbackUnnoticed: {
    ...patch(
      "pipeline",
      "a store that rolled back is noticed while nothing comes",
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
    "what waits for room to be read again is not taken for gone",
    "internal/ReadAgain.ts",
    `if (chunk.from > at) yield*`,
    `yield*`,
  ),
  failedPublishForgotten: patch(
    "pipeline",
    "a publish is made again until it is acknowledged",
    "internal/Publish.ts",
    `log.publish(topic, partition, part)`,
    `Effect.catch(log.publish(topic, partition, part), () => Effect.succeed(0))`,
  ),
  publishOutlivesItsWorker: {
    ...patch(
      "pipeline",
      "one publish is under way for each partition",
      "internal/Producing.ts",
      `      return under_way === undefined ? Effect.void : Fiber.interrupt(under_way)`,
      `      return Effect.void`,
    ),
    faults: ["log flaky"],
  },
  writtenBeforeSaved: patch(
    "client",
    "nothing leaves that the memory does not hold",
    "Outbox.ts",
    `Effect.andThen(memory.save(clientId, taken), restore(written))`,
    `Effect.andThen(restore(written), memory.save(clientId, taken))`,
  ),
  settledStaysWritten: patch(
    "client",
    "what is accepted is forgotten",
    "Core.ts",
    `  for (const id of ids) state.written.delete(id)
`,
  ),
  doubtBeforeSent: patch(
    "client",
    "an event is remembered before the doubt about it",
    "Core.ts",
    `  remember(state, { _tag: "Sent", events: fresh }, out)
  if (named) doubt(state, fresh, out)`,
    `  if (named) doubt(state, fresh, out)
  remember(state, { _tag: "Sent", events: fresh }, out)`,
  ),
}
