/** The bounds of a run: tight ones, so that they are met, or those of production but for the times. */
import {
  eventOrderLimits,
  mailboxLimits,
  repeatLimits,
  routerLimits,
  sessionLimits,
  taskLimits,
  taskQueueLimits,
} from "@nimbus/domain/limits"
import type { Dice } from "@nimbus/domain/testing/dice"
import type { SimulatedLimits } from "./Production.ts"

export const limitsOf = (dice: Dice): SimulatedLimits => (dice.oneIn(3) ? loose : tightened(dice))

const times = { sweep_ms: 3_000, lease_ms: 4_000 }

const loose: SimulatedLimits = {
  ...times,
  session: { ...sessionLimits, barrier_timeout_max_ticks: 16 },
  router: routerLimits,
  mailbox: mailboxLimits,
  order: eventOrderLimits,
  // As many as none of its topics has; those of production would take their time in each process.
  repeats: { ...repeatLimits, dedupe_records: 4_096 },
  unknown_event_wait_ms: 0,
  tasks: { ...taskLimits, task_attempts: 20 },
  taskQueue: { ...taskQueueLimits, fenced_ticks: 10 },
  taskWorker: {
    task_buffer_parts: 256,
    kept_bytes: 65_536,
    readers_at_once: 16,
    begun_wait_ms: 5_000,
    revoked_wait_ms: 3_000,
  },
  chunk_records: 64,
  shelf_records: 1_024,
  outstanding_records: 4_096,
  unhurried_results: 128,
  intake_bytes: 65_536,
  client_unanswered_events: 4_096,
  socket_buffer_bytes: 65_536,
  barriers_again_per_tick: 50,
  late_steps: 4_096,
  direct_recent_bytes: 65_536,
  client: { window_events: 1_024, waiting_notices: 64, doubtful_ids: 16_384, cancels: 1_024 },
}

const tightened = (dice: Dice): SimulatedLimits => ({
  ...times,
  session: {
    ...sessionLimits,
    window_results: 1 + dice.upTo(5),
    held_results: dice.upTo(4),
    page_results: dice.upTo(4),
    barrier_timeout_max_ticks: 16,
  },
  router: {
    inflight_results_per_client: 1 + dice.upTo(5),
    inflight_results: 4 + dice.upTo(6),
    routes: 1 + dice.upTo(3),
    ack_timeout_ticks: 4 + dice.upTo(16),
  },
  mailbox: dice.oneIn(4) ? { ...mailboxLimits, mailbox_results: 1 + dice.upTo(6) } : mailboxLimits,
  order: {
    ...eventOrderLimits,
    partition_records: 2 + dice.upTo(20),
    client_records: dice.upTo(4),
    span_records: 8 + dice.upTo(50),
  },
  chunk_records: dice.upTo(6),
  shelf_records: dice.upTo(8),
  unhurried_results: dice.upTo(6),
  intake_bytes: 40 * dice.upTo(10),
  socket_buffer_bytes: 50 * dice.upTo(10),
  barriers_again_per_tick: dice.upTo(3),
  // Rarely tight: where it is, `shelf_records` is not met.
  outstanding_records: dice.oneIn(4) ? dice.upTo(6) : 4_096,
  late_steps: dice.upTo(8),
  client: {
    window_events: dice.oneIn(4) ? dice.upTo(6) : 1_024,
    waiting_notices: 1,
    doubtful_ids: 16_384,
    cancels: dice.upTo(3),
  },
  direct_recent_bytes: 60 * dice.upTo(8),
  client_unanswered_events: dice.oneIn(2) ? dice.upTo(4) : 4_096,
  repeats: { dedupe_records: dice.oneIn(2) ? dice.upTo(60) : 4_096, spilled_repeats: dice.upTo(3) },
  unknown_event_wait_ms: dice.oneOf([0, 100, 3_000]),
  tasks: {
    task_attempts: dice.oneOf([2, 5, 20]),
    client_open_tasks: dice.oneIn(3) ? dice.upTo(3) : taskLimits.client_open_tasks,
    partition_open_tasks: taskLimits.partition_open_tasks,
    task_ttl_ms: dice.oneIn(4) ? dice.upTo(20_000) : taskLimits.task_ttl_ms,
    spilled_verdicts: dice.upTo(3),
  },
  taskQueue: {
    at_once: 2 + dice.upTo(6),
    client_at_once: 1 + dice.upTo(3),
    subject_share: 3,
    fenced_ticks: dice.upTo(10),
  },
  taskWorker: {
    task_buffer_parts: dice.upTo(3),
    kept_bytes: dice.oneOf([0, 200, 65_536]),
    readers_at_once: dice.upTo(2),
    begun_wait_ms: dice.oneOf([500, 5_000]),
    revoked_wait_ms: dice.oneOf([0, 1_000, 5_000]),
  },
})
