/**
 * Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`
 * together with what the caller can do about it.
 */
import { Schema } from "effect"
import { Incarnation } from "./protocol/Ids.ts"

/** The log did not take or give records. Passing: the same call may be made again. */
export class LogUnavailable extends Schema.TaggedError<LogUnavailable>()("LogUnavailable", {
  code: Schema.tag("LOG_UNAVAILABLE"),
  topic: Schema.String,
  operation: Schema.String,
  cause: Schema.Defect(),
}) {}

/** A topic that nobody declared. Permanent: name it in the configuration. */
export class UnknownTopic extends Schema.TaggedError<UnknownTopic>()("UnknownTopic", {
  code: Schema.tag("UNKNOWN_TOPIC"),
  topic: Schema.String,
}) {}

/** The partition belongs to another consumer now. What was not committed is read again by its new owner. */
export class PartitionRevoked extends Schema.TaggedError<PartitionRevoked>()("PartitionRevoked", {
  code: Schema.tag("PARTITION_REVOKED"),
  topic: Schema.String,
  partition: Schema.Int,
}) {}

/** Why the log did not do what it was asked for. */
export type LogError = LogUnavailable | UnknownTopic

/**
 * The log does not take these records, and will not take them if they come again. `too-large`: together they are more
 * than the topic takes; fewer may do. Otherwise an operator has to put something right first.
 */
export class LogRefused extends Schema.TaggedError<LogRefused>()("LogRefused", {
  code: Schema.tag("LOG_REFUSED"),
  topic: Schema.String,
  reason: Schema.Literals(["too-large", "not-allowed", "not-valid"]),
  detail: Schema.String,
}) {
  override get message(): string {
    return `${this.topic} does not take what is written to it: ${this.detail}`
  }
}

/** Why the log did not take records. */
export type PublishError = LogError | LogRefused

/** The registry did not answer. Passing. */
export class RegistryUnavailable extends Schema.TaggedError<RegistryUnavailable>()("RegistryUnavailable", {
  code: Schema.tag("REGISTRY_UNAVAILABLE"),
  operation: Schema.String,
  cause: Schema.Defect(),
}) {}

/** Another live pod holds this pod's id or channel. Start with a fresh pod id. */
export class PodTaken extends Schema.TaggedError<PodTaken>()("PodTaken", {
  code: Schema.tag("POD_TAKEN"),
  pod: Schema.String,
}) {}

/** The mailbox store did not answer. Passing: puts and acks are idempotent, and may be repeated. */
export class MailboxUnavailable extends Schema.TaggedError<MailboxUnavailable>()("MailboxUnavailable", {
  code: Schema.tag("MAILBOX_UNAVAILABLE"),
  operation: Schema.String,
  cause: Schema.Defect(),
}) {}

/** The offsets of direct delivery did not come or go. Passing. */
export class OffsetsUnavailable extends Schema.TaggedError<OffsetsUnavailable>()("OffsetsUnavailable", {
  code: Schema.tag("OFFSETS_UNAVAILABLE"),
  operation: Schema.String,
  cause: Schema.Defect(),
}) {}

/**
 * The mailboxes were written against other topics: another incarnation, another partition count, or seqs beyond
 * the log's end; or the data by a later protocol. Refuse to start: point the process at the store that belongs to this
 * log, or begin with an empty one.
 */
export class StoreMismatch extends Schema.TaggedError<StoreMismatch>()("StoreMismatch", {
  code: Schema.tag("STORE_MISMATCH"),
  reason: Schema.Literals(["protocol", "incarnation", "partitions", "beyond-end"]),
  stored: Schema.String,
  found: Schema.String,
  incarnation: Incarnation,
}) {
  override get message(): string {
    switch (this.reason) {
      case "protocol":
        return `the data is of protocol ${this.stored}, and this version speaks ${this.found}; start the version that wrote it, or begin with an empty store`
      case "partitions":
        return `the data has ${this.stored} partitions, not ${this.found}; set NIMBUS_PARTITIONS=${this.stored}, or begin with an empty store`
      case "incarnation":
        return `the mailboxes belong to log ${this.stored}, and this is log ${this.found}; take the store of this log, or an empty one`
      case "beyond-end":
        return `the mailboxes know ${this.stored}, which is beyond this log's ${this.found}; take the store of this log, or an empty one`
    }
  }
}

/** A datagram could not be sent. Counts as received by nobody. */
export class ChannelUnavailable extends Schema.TaggedError<ChannelUnavailable>()("ChannelUnavailable", {
  code: Schema.tag("CHANNEL_UNAVAILABLE"),
  channel: Schema.String,
  cause: Schema.Defect(),
}) {}

/** Stored bytes that are no record of ours. The record goes to quarantine with this reason; nothing else stops. */
export class CorruptRecord extends Schema.TaggedError<CorruptRecord>()("CorruptRecord", {
  code: Schema.tag("CORRUPT_RECORD"),
  reason: Schema.String,
}) {}

/** What was given as a step of a client's status is none. */
export class NotAStep extends Schema.TaggedError<NotAStep>()("NotAStep", {
  code: Schema.tag("NOT_A_STEP"),
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** A step that the status machine does not know from this state. Nothing has changed. */
export class IllegalTransition extends Schema.TaggedError<IllegalTransition>()("IllegalTransition", {
  code: Schema.tag("ILLEGAL_TRANSITION"),
  from: Schema.Literals(["UNKNOWN", "OFFLINE", "REPLAYING", "LIVE"]),
  step: Schema.String,
  reason: Schema.Literals(["superseded", "no-such-arrow", "no-epoch-left", "in-use"]),
}) {}

/**
 * An invariant of a core's header does not hold: a bug, in the core or in the shell around it. A defect, never a failure;
 * what the core keeps in memory is not to be relied on.
 */
export class InvariantBroken extends Schema.TaggedError<InvariantBroken>()("InvariantBroken", {
  code: Schema.tag("INVARIANT_BROKEN"),
  core: Schema.Literals([
    "Session",
    "DirectSession",
    "Router",
    "Feed",
    "EventOrder",
    "RepeatWindow",
    "TaskLedger",
    "TaskQueue",
  ]),
  /** As the header numbers it. */
  invariant: Schema.Int,
}) {
  override get message(): string {
    return `invariant ${this.invariant} of ${this.core} does not hold`
  }
}

/** Two handlers of one name. Permanent: rename one. */
export class DuplicateHandler extends Schema.TaggedError<DuplicateHandler>()("DuplicateHandler", {
  code: Schema.tag("DUPLICATE_HANDLER"),
  name: Schema.String,
}) {
  override get message(): string {
    return `two handlers are called ${JSON.stringify(this.name)}`
  }
}

/** A handler that says of itself what can't be. Permanent: correct it. */
export class BadHandler extends Schema.TaggedError<BadHandler>()("BadHandler", {
  code: Schema.tag("BAD_HANDLER"),
  name: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `the handler ${JSON.stringify(this.name)}: ${this.reason}`
  }
}

/** A message of a batch that is not well-formed, or a batch beyond its bound. Nothing of it was published. */
export class BadBatch extends Schema.TaggedError<BadBatch>()("BadBatch", {
  code: Schema.tag("BAD_BATCH"),
  /** Which message, from 0; none where it is the batch as a whole. */
  index: Schema.optionalKey(Schema.Int),
  reason: Schema.String,
}) {}

/** A store of the archive did not answer, or not as it should. Passing: calls are idempotent, and may be repeated. */
export class ArchiveUnavailable extends Schema.TaggedError<ArchiveUnavailable>()("ArchiveUnavailable", {
  code: Schema.tag("ARCHIVE_UNAVAILABLE"),
  store: Schema.String,
  operation: Schema.String,
  cause: Schema.Defect(),
}) {}

/**
 * The archive has more of a topic than the log ever had: the topic was removed and made again, or the log is another
 * one. Refuse to start, for new records would be taken for old ones.
 */
export class ArchiveMismatch extends Schema.TaggedError<ArchiveMismatch>()("ArchiveMismatch", {
  code: Schema.tag("ARCHIVE_MISMATCH"),
  topic: Schema.String,
  partition: Schema.Int,
  stored: Schema.Int,
  end: Schema.Int,
}) {
  override get message(): string {
    return `the archive has ${this.topic}/${this.partition} up to ${this.stored}, which is beyond this log's end ${this.end}; take the store of this log, or an empty one`
  }
}

/**
 * Who asks did not show who it is: without a token, or with one that counts for nothing. Permanent for this token: come
 * with another one.
 */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()("Unauthenticated", {
  code: Schema.Literals(["TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_REVOKED"]),
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** Who it is can't be found out now: keys, the hook or the revocations can't be asked. Passing: come back. */
export class AuthUnavailable extends Schema.TaggedError<AuthUnavailable>()("AuthUnavailable", {
  code: Schema.tag("AUTH_UNAVAILABLE"),
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** Who it is may not do this. Permanent: it needs the capability that is named. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  code: Schema.tag("FORBIDDEN"),
  capability: Schema.String,
}) {
  override get message(): string {
    return `the capability ${this.capability} is missing`
  }
}

/** The client is connected by another subject, whose session goes on. */
export class ClientInUse extends Schema.TaggedError<ClientInUse>()("ClientInUse", {
  code: Schema.tag("CLIENT_IN_USE"),
  /** Where its session is. */
  pod: Schema.String,
}) {
  override get message(): string {
    return "the client is connected by another subject"
  }
}

/** There are as many orders in force as may be. Block the subject, or revoke all of its tokens by one order instead. */
export class RevocationsFull extends Schema.TaggedError<RevocationsFull>()("RevocationsFull", {
  code: Schema.tag("REVOCATIONS_FULL"),
  /** Which bound was reached. */
  missing: Schema.Literals(["orders", "bytes"]),
}) {
  override get message(): string {
    return this.missing === "orders"
      ? "as many revocations are in force as may be: unblock subjects, or wait until revoked tokens have ended"
      : "the revocations in force take up as many bytes as they may: unblock subjects, or wait until revoked tokens have ended"
  }
}
