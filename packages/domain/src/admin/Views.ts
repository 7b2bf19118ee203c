/**
 * What operators see: the shapes that the admin API answers with, the page draws and `nimbus --json` prints.
 *
 * Every list is bounded by `adminLimits`; where there was more, the answer says so.
 */
import { Schema } from "effect"
import { StoredAuditEntry } from "../access/AuditBook.ts"
import { RevocationInForce } from "../access/Revocation.ts"
import { ClientId, Cursor, Epoch, EventId, Incarnation, PodId, Seq } from "../protocol/Ids.ts"
import { JourneyStep, StepName } from "../protocol/Journey.ts"
import { StatusName } from "../protocol/Status.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
/** ms since 1970. */
const Time = Schema.Int

const ByStatus = Schema.Struct({ OFFLINE: Count, REPLAYING: Count, LIVE: Count })

/** One client as a list has it. A client whose pod's lease has run out is OFFLINE. */
export const ClientRow = Schema.Struct({
  clientId: ClientId,
  status: StatusName,
  epoch: Epoch,
  /** Who holds it, or held it last. */
  pod: PodId,
  /** Results in its mailbox: waiting, or delivered and not yet trimmed. */
  waiting: Count,
})
export type ClientRow = typeof ClientRow.Type

/** What waits for one client. */
export const MailboxView = Schema.Struct({
  clientId: ClientId,
  results: Count,
  bytes: Count,
  /** The client has everything up to here. */
  acked: Cursor,
  /** The limits removed everything up to here. -1: nothing. */
  floor: Cursor,
  /** The lowest records, as text; `data` is what the client would get. */
  records: Schema.Array(Schema.Struct({ seq: Seq, value: Schema.String })),
  more: Schema.Boolean,
})
export type MailboxView = typeof MailboxView.Type

/** What the gateway that answers knows of its own session. */
export const SessionView = Schema.Struct({
  door: Schema.String,
  /** Decided to be sent up to here. */
  upTo: Cursor,
  acknowledged: Cursor,
})
export type SessionView = typeof SessionView.Type

/** All that is known of one client. */
export const ClientView = Schema.Struct({
  clientId: ClientId,
  /** Absent: the registry has never seen it, or was wiped. */
  registry: Schema.optionalKey(Schema.Struct({ status: StatusName, epoch: Epoch, pod: PodId })),
  partition: Count,
  mailbox: Schema.Struct({ results: Count, bytes: Count, acked: Cursor, floor: Cursor }),
  /** Only where the gateway that answers holds the client. */
  session: Schema.optionalKey(SessionView),
  /** The newest records of the client in the events topic that were found, newest first. */
  lastEvents: Schema.Array(
    Schema.Struct({ seq: Seq, time: Time, type: Schema.String, id: Schema.String, name: Schema.String }),
  ),
})
export type ClientView = typeof ClientView.Type

/** A pod whose lease has run out is named while clients are left behind that have not come back. */
export const PodView = Schema.Struct({
  pod: PodId,
  clients: Count,
  isLive: Schema.Boolean,
  /** What the process says of itself; absent: it has said nothing lately. */
  host: Schema.optionalKey(Schema.String),
  address: Schema.optionalKey(Schema.String),
  role: Schema.optionalKey(Schema.String),
})
export type PodView = typeof PodView.Type

/** One partition of a topic, and how far its consumer group has got. */
export const PartitionView = Schema.Struct({
  partition: Count,
  earliest: Count,
  end: Count,
  /** By consumer group; absent: it never committed. */
  committed: Schema.optionalKey(Count),
  lag: Count,
  /** Whose handler the commit waits for, the event that it has, and when it began in ms since 1970, when that was written. */
  held: Schema.optionalKey(Schema.Struct({ clientId: Schema.String, name: Schema.String, since_ms: Count })),
})
export type PartitionView = typeof PartitionView.Type

/** A topic, and the one consumer group of the pipeline that reads it, where there is one. */
export const TopicView = Schema.Struct({
  topic: Schema.String,
  kind: Schema.Literals([
    "events",
    "results",
    "dlq",
    "tasks",
    "quarantine",
    "journey",
    "chats",
    "messages",
    "revocations",
    "audit",
  ]),
  group: Schema.optionalKey(Schema.String),
  retained: Count,
  lag: Count,
  partitions: Schema.Array(PartitionView),
})
export type TopicView = typeof TopicView.Type

/** A consumer of the pipeline that this process runs and can stop. */
export const RoleView = Schema.Struct({ role: Schema.String, isRunning: Schema.Boolean })
export type RoleView = typeof RoleView.Type

/** The whole system at one moment. */
export const StatusView = Schema.Struct({
  pod: Schema.optionalKey(PodId),
  incarnation: Incarnation,
  partitions: Count,
  clients: ByStatus,
  /** There are more clients than were counted. */
  clientsMore: Schema.Boolean,
  pods: Schema.Array(PodView),
  lag: Schema.Struct({ events: Count, results: Count, dlq: Count }),
  quarantined: Count,
})
export type StatusView = typeof StatusView.Type

/** A record that could not be decoded. */
export const QuarantinedRow = Schema.Struct({
  partition: Count,
  offset: Count,
  key: Schema.String,
  reason: Schema.String,
  /** Where it stood. Absent: somebody else put it here. */
  from: Schema.optionalKey(Schema.Struct({ topic: Schema.String, partition: Count, offset: Count })),
  time: Time,
  bytes: Count,
})
export type QuarantinedRow = typeof QuarantinedRow.Type

/** A record that could not be decoded, with its content. */
export const QuarantinedView = Schema.Struct({
  ...QuarantinedRow.fields,
  /** As text; what is not UTF-8 is replaced. */
  text: Schema.String,
})
export type QuarantinedView = typeof QuarantinedView.Type

/** A task that has not ended. */
export const TaskRow = Schema.Struct({
  clientId: ClientId,
  /** Of its event, which names it: ids may be used again. */
  seq: Seq,
  /** Of its event. */
  id: EventId,
  name: Schema.String,
  /** When it was handed to the task workers. */
  since: Time,
  /** Its latest attempt. Absent: it waits for a worker. */
  run: Schema.optionalKey(
    Schema.Struct({
      worker: Schema.String,
      /** From 1. */
      attempt: Count,
      since: Time,
    }),
  ),
})
export type TaskRow = typeof TaskRow.Type

/** The tasks that have not ended, as the log has them: those that run longest first, then those that wait longest. */
export const TasksView = Schema.Struct({
  tasks: Schema.Array(TaskRow),
  /** Of those that were asked for, whether they are shown or not. */
  running: Count,
  waiting: Count,
  /** There are more than are shown. */
  more: Schema.Boolean,
  /** Records of the tasks topic that could not be read yet: asking again reads on. */
  unread: Count,
})
export type TasksView = typeof TasksView.Type

/** A task that is to be cancelled, if it has not ended. */
export const Cancelled = Schema.Struct({ clientId: ClientId, id: EventId })
export type Cancelled = typeof Cancelled.Type

/** Events published anew: they have new seqs, for clients would rightly drop the old ones as repeats. */
export const Republished = Schema.Struct({
  published: Count,
  /** The first few. */
  events: Schema.Array(Schema.Struct({ oldSeq: Seq, newSeq: Seq, newId: EventId })),
  /**
   * The bound was reached: go on `from` here `upTo` there. Beyond are the events that were published anew, which are not
   * to be published a second time.
   */
  next: Schema.optionalKey(Schema.Struct({ from: Seq, upTo: Seq })),
})
export type Republished = typeof Republished.Type

/** A client whose connection is to be closed. */
export const Kicked = Schema.Struct({
  clientId: ClientId,
  pod: PodId,
  /** The pod's channel took the request. `false`: nobody listens there, so the client is not connected there. */
  received: Schema.Boolean,
})
export type Kicked = typeof Kicked.Type

/** Clients that were forgotten, with their mail; and those that are connected, which were not. */
export const Forgotten = Schema.Struct({ forgotten: Schema.Array(ClientId), connected: Schema.Array(ClientId) })
export type Forgotten = typeof Forgotten.Type

/** A gateway that is to send its clients away. */
export const Drained = Schema.Struct({ pod: PodId, received: Schema.Boolean })
export type Drained = typeof Drained.Type

/** One hop of one event: see `hopsOf`. */
export const JourneyHop = Schema.Union([
  Schema.TaggedStruct("Seen", {
    step: JourneyStep,
    /** Since the first hop that was seen; clocks of machines differ. */
    since_ms: Schema.Finite,
    /** How often it was seen again: a worker that started over, or a second delivery. */
    repeats: Count,
  }),
  /** It has happened and was not sampled, or is no longer retained. `or`: this step or that one, which is not known. */
  Schema.TaggedStruct("Missing", { step: StepName, or: Schema.optionalKey(StepName) }),
])
export type JourneyHop = typeof JourneyHop.Type

/** The JSON that a record carries, in its own spelling. */
export const Payload = Schema.Struct({
  /** The whole, or the beginning where that is larger than may be shown. */
  text: Schema.String,
  /** Of the whole. */
  bytes: Count,
})
export type Payload = typeof Payload.Type

/** An event, what came of it, and the steps that it took. */
export const JourneyView = Schema.Struct({
  clientId: ClientId,
  seq: Seq,
  /** What stands in the events topic at this seq, while it is retained. */
  event: Schema.optionalKey(Schema.Struct({ type: Schema.String, id: Schema.String, name: Schema.String })),
  /** The data of what was sent, while the events topic retains it. */
  sent: Schema.optionalKey(Payload),
  /** What the client gets, data or error, while the results topic retains it or the mailbox has it. */
  result: Schema.optionalKey(Payload),
  /** Whether its journey is sampled at all. */
  isFollowed: Schema.Boolean,
  traceId: Schema.optionalKey(Schema.String),
  /** Where the record is now, as far as that can be told. */
  place: Schema.Literals(["events", "tasks", "results", "mailbox", "acknowledged", "unknown"]),
  hops: Schema.Array(JourneyHop),
})
export type JourneyView = typeof JourneyView.Type

/** What happened between two looks, about a second apart. */
export const Pulse = Schema.Struct({
  at: Time,
  /** By the gateway that answers. */
  accepted_per_s: Schema.Finite,
  delivered_per_s: Schema.Finite,
  /** Of those delivered, from mailboxes. */
  replayed_per_s: Schema.Finite,
  /** Records that came into each topic, from all gateways and pipelines. Absent: nobody was watching just before. */
  topics: Schema.optionalKey(
    Schema.Struct({ events_per_s: Schema.Finite, results_per_s: Schema.Finite, dlq_per_s: Schema.Finite }),
  ),
  /**
   * From an event's acceptance to its result's being sent here, of those sampled whose client was LIVE all that time.
   * Absent: there were none.
   */
  latency: Schema.optionalKey(Schema.Struct({ p50_ms: Schema.Finite, p99_ms: Schema.Finite })),
})
export type Pulse = typeof Pulse.Type

/** What the page draws, sent over one connection. Its size does not depend on how many clients there are. */
export const Snapshot = Schema.Struct({
  ...StatusView.fields,
  pulse: Pulse,
  topics: Schema.Array(TopicView),
  roles: Schema.Array(RoleView),
  /** The first of them. */
  tasks: TasksView,
  /** The clients that were asked for, the ones that replay first. */
  rows: Schema.Array(ClientRow),
  rowsMore: Schema.Boolean,
  /** What could not be read this second keeps its last value, and is named here. */
  stale: Schema.Array(Schema.String),
  /** What `/readyz` warns of. Absent: nothing. */
  warnings: Schema.optionalKey(Schema.Array(Schema.String)),
})
export type Snapshot = typeof Snapshot.Type

/** What counts no more, the newest orders first. */
export const RevocationsView = Schema.Struct({
  revocations: Schema.Array(RevocationInForce),
  /** In force, whether they are shown or not. */
  count: Count,
  /** Of those that were asked for there are more than are shown. */
  more: Schema.Boolean,
})
export type RevocationsView = typeof RevocationsView.Type

/** An order that is in force at this gateway now, and at all others within 5 s. */
export const Revoked = Schema.Struct({
  /** Whose token or subject it is. */
  issuer: Schema.String,
  /** `false`: it has changed nothing, for it was so already; or the token has ended. */
  isNew: Schema.Boolean,
})
export type Revoked = typeof Revoked.Type

/** Who did what, the newest first. */
export const AuditView = Schema.Struct({
  entries: Schema.Array(StoredAuditEntry),
  /** There are more, or older ones were not looked at. */
  more: Schema.Boolean,
})
export type AuditView = typeof AuditView.Type
