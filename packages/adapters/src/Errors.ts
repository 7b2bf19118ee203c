/**
 * Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`
 * together with what the caller can do about it.
 */
import { Schema } from "effect"

/** The store on disk did not take or give data: disk full, no permission, closed. Nothing of the step was written. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  code: Schema.tag("STORAGE_UNAVAILABLE"),
  operation: Schema.String,
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return `the data directory (NIMBUS_DATA) does not work, ${this.operation}: ${causeOf(this.cause)}`
  }
}

/** A live process, which may be this one, has the data directory open. Stop it, or name another directory. */
export class DataDirectoryInUse extends Schema.TaggedError<DataDirectoryInUse>()("DataDirectoryInUse", {
  code: Schema.tag("DATA_DIRECTORY_IN_USE"),
  directory: Schema.String,
  /** The process id that the owner wrote down, in its own container's count. */
  owner: Schema.optionalKey(Schema.String),
}) {
  override get message(): string {
    return `the data directory ${this.directory} is in use by process ${this.owner ?? "(unknown)"}; stop it, or set NIMBUS_DATA to another directory`
  }
}

/** The data directory holds no database of ours, or a cut-off one. Restore it from a backup, or begin with an empty one. */
export class DataDirectoryCorrupt extends Schema.TaggedError<DataDirectoryCorrupt>()("DataDirectoryCorrupt", {
  code: Schema.tag("DATA_DIRECTORY_CORRUPT"),
  directory: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `the data directory ${this.directory} can't be read: ${this.reason}; restore it, or set NIMBUS_DATA to an empty one`
  }
}

/** Redis did not answer, or not as it should. Passing: it is connected to again, and the same call may be made again. */
export class RedisUnavailable extends Schema.TaggedError<RedisUnavailable>()("RedisUnavailable", {
  code: Schema.tag("REDIS_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** Redis turns us away: a wrong or missing password, or a user who may not do what is needed. Correct the settings. */
export class RedisRefused extends Schema.TaggedError<RedisRefused>()("RedisRefused", {
  code: Schema.tag("REDIS_REFUSED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} turns us away: ${this.reason}`
  }
}

/** No TLS with Redis: a certificate that is not trusted or names another host, or an answer without TLS. Correct the settings. */
export class RedisTlsFailed extends Schema.TaggedError<RedisTlsFailed>()("RedisTlsFailed", {
  code: Schema.tag("REDIS_TLS_FAILED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `no TLS with Redis at ${this.address}: ${this.reason}`
  }
}

/** Redis would throw keys away when its memory is full, and results with them. Set its `maxmemory-policy` to `noeviction`. */
export class RedisEvicts extends Schema.TaggedError<RedisEvicts>()("RedisEvicts", {
  code: Schema.tag("REDIS_EVICTS"),
  address: Schema.String,
  policy: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} has maxmemory-policy ${this.policy}: it must be noeviction`
  }
}

/** Redis has reached its `maxmemory`. Give it more, or wait until clients have taken what waits for them. */
export class RedisFull extends Schema.TaggedError<RedisFull>()("RedisFull", {
  code: Schema.tag("REDIS_FULL"),
  address: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} is full: raise its maxmemory. Clients that it knows go on and make room as they acknowledge; new ones, and results for those away, wait`
  }
}

/** Redis takes no writes: a replica, or a master that may not write. Name the master, or put right what the reason says. */
export class RedisReadOnly extends Schema.TaggedError<RedisReadOnly>()("RedisReadOnly", {
  code: Schema.tag("REDIS_READ_ONLY"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} takes no writes: ${this.reason}`
  }
}

/** The processes that run, or ran, keep the mailboxes elsewhere. Configure this one as them, or clear what they noted. */
export class OtherMailboxStore extends Schema.TaggedError<OtherMailboxStore>()("OtherMailboxStore", {
  code: Schema.tag("OTHER_MAILBOX_STORE"),
  stored: Schema.String,
  configured: Schema.String,
  /** The key in Redis that says so. */
  key: Schema.String,
}) {
  override get message(): string {
    return `mailboxes are kept in ${this.stored}, but NIMBUS_MAILBOX is ${this.configured} (the key ${this.key} says so)`
  }
}

/** Processes of another protocol than this one's run, or left their note. Stop all, and start those of one protocol. */
export class OtherProtocol extends Schema.TaggedError<OtherProtocol>()("OtherProtocol", {
  code: Schema.tag("OTHER_PROTOCOL"),
  stored: Schema.Int,
  ours: Schema.Int,
  /** Who runs. */
  running: Schema.Array(Schema.String),
  /** The key in Redis that says so. */
  key: Schema.String,
}) {
  override get message(): string {
    const running = this.running.length === 0 ? "" : `, and these run: ${this.running.join(", ")}`
    return `protocol ${this.stored} is in use, and this process speaks ${this.ours}${running} (the key ${this.key} says so)`
  }
}

/** PostgreSQL did not answer, or refused a statement. Passing: the same call may be made again. */
export class PostgresUnavailable extends Schema.TaggedError<PostgresUnavailable>()("PostgresUnavailable", {
  code: Schema.tag("POSTGRES_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** PostgreSQL turns us away: password, user, database or a missing right. Correct the settings. */
export class PostgresRefused extends Schema.TaggedError<PostgresRefused>()("PostgresRefused", {
  code: Schema.tag("POSTGRES_REFUSED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `PostgreSQL at ${this.address} turns us away: ${this.reason}`
  }
}

/** No TLS with PostgreSQL: a certificate that is not trusted or names another host, or a server without TLS. Correct the settings. */
export class PostgresTlsFailed extends Schema.TaggedError<PostgresTlsFailed>()("PostgresTlsFailed", {
  code: Schema.tag("POSTGRES_TLS_FAILED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `no TLS with PostgreSQL at ${this.address}: ${this.reason}`
  }
}

/** Kafka did not answer, or not as it should. Passing: it is connected to again, and the same call may be made again. */
export class KafkaUnavailable extends Schema.TaggedError<KafkaUnavailable>()("KafkaUnavailable", {
  code: Schema.tag("KAFKA_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** Kafka turns us away: a wrong user or password, or a right that is missing. Correct the settings. */
export class KafkaRefused extends Schema.TaggedError<KafkaRefused>()("KafkaRefused", {
  code: Schema.tag("KAFKA_REFUSED"),
  brokers: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `Kafka at ${this.brokers} turns us away: ${this.reason}`
  }
}

/** No TLS with Kafka: a certificate that is not trusted or names another host, or a port without TLS. Correct the settings. */
export class KafkaTlsFailed extends Schema.TaggedError<KafkaTlsFailed>()("KafkaTlsFailed", {
  code: Schema.tag("KAFKA_TLS_FAILED"),
  brokers: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `no TLS with Kafka at ${this.brokers}: ${this.reason}`
  }
}

/** The installed kafkajs lacks what this package uses of it. Install the version that the message names. */
export class KafkaClientUnfit extends Schema.TaggedError<KafkaClientUnfit>()("KafkaClientUnfit", {
  code: Schema.tag("KAFKA_CLIENT_UNFIT"),
  /** What is missing, each as `Class.member`. */
  lacks: Schema.Array(Schema.String),
  /** The version that has it. */
  wanted: Schema.String,
}) {
  override get message(): string {
    return `the installed kafkajs lacks ${this.lacks.join(", ")}: npm install kafkajs@${this.wanted}`
  }
}

/** A topic is not there, and is not to be created. Create it, or set `NIMBUS_KAFKA_CREATE_TOPICS`. */
export class KafkaTopicMissing extends Schema.TaggedError<KafkaTopicMissing>()("KafkaTopicMissing", {
  code: Schema.tag("KAFKA_TOPIC_MISSING"),
  topic: Schema.String,
}) {
  override get message(): string {
    return `Kafka has no topic ${this.topic}, and NIMBUS_KAFKA_CREATE_TOPICS is off`
  }
}

/** A topic is set so that records would be lost or refused. Set it as the message says; `docs/operations.md` says why. */
export class KafkaTopicUnfit extends Schema.TaggedError<KafkaTopicUnfit>()("KafkaTopicUnfit", {
  code: Schema.tag("KAFKA_TOPIC_UNFIT"),
  /** Of each topic what is wrong. */
  reasons: Schema.Array(Schema.String),
}) {
  override get message(): string {
    return this.reasons.map((reason) => `the topic ${reason}`).join("; ")
  }
}

/** A topic was deleted, or deleted and made again, while this process ran. Restart it, when the topic is there. */
export class KafkaTopicReplaced extends Schema.TaggedError<KafkaTopicReplaced>()("KafkaTopicReplaced", {
  code: Schema.tag("KAFKA_TOPIC_REPLACED"),
  topic: Schema.String,
  isThere: Schema.Boolean,
}) {
  override get message(): string {
    return this.isThere
      ? `the topic ${this.topic} was deleted and made again: restart this process, to go on with the new one`
      : `the topic ${this.topic} was deleted while this process runs: make it again, and restart this process`
  }
}

/** A topic got more partitions while this process ran, and cannot use them: clients belong to the first ones for good. */
export class KafkaPartitionsAdded extends Schema.TaggedError<KafkaPartitionsAdded>()("KafkaPartitionsAdded", {
  code: Schema.tag("KAFKA_PARTITIONS_ADDED"),
  topic: Schema.String,
  found: Schema.Int,
  expected: Schema.Int,
}) {
  override get message(): string {
    return `the topic ${this.topic} has ${this.found} partitions now: only the first ${this.expected} are used, and the next start refuses`
  }
}

/** All topics must have the same partition count. Set `NIMBUS_PARTITIONS` to theirs, or name other topics. */
export class KafkaPartitionsUnequal extends Schema.TaggedError<KafkaPartitionsUnequal>()("KafkaPartitionsUnequal", {
  code: Schema.tag("KAFKA_PARTITIONS_UNEQUAL"),
  topic: Schema.String,
  found: Schema.Int,
  expected: Schema.Int,
}) {
  override get message(): string {
    return `the topic ${this.topic} has ${this.found} partitions in Kafka, and not ${this.expected} as NIMBUS_PARTITIONS says`
  }
}

/** What another producer wrote into a topic can't be read. Its bytes go to quarantine with the reason, and reading goes on. */
export class KafkaBatchUnreadable extends Schema.TaggedError<KafkaBatchUnreadable>()("KafkaBatchUnreadable", {
  code: Schema.tag("KAFKA_BATCH_UNREADABLE"),
  topic: Schema.String,
  partition: Schema.Int,
  offset: Schema.Int,
  reason: Schema.String,
}) {
  override get message(): string {
    return `${this.topic}/${this.partition} at offset ${this.offset}: ${this.reason}`
  }
}

/** Another producer's transaction stays open, and nothing behind it can be read. Passing: Kafka ends it, or its producer does. */
export class KafkaTransactionOpen extends Schema.TaggedError<KafkaTransactionOpen>()("KafkaTransactionOpen", {
  code: Schema.tag("KAFKA_TRANSACTION_OPEN"),
  topic: Schema.String,
  partition: Schema.Int,
  offset: Schema.Int,
  open_ms: Schema.Finite,
  waiting: Schema.Int,
}) {
  override get message(): string {
    const { offset, open_ms, partition, topic, waiting } = this
    return `a transaction of another producer in ${topic}/${partition} has been open since offset ${offset} for ${Math.round(open_ms / 1000)} s, and ${waiting} offsets wait behind it`
  }
}

/** PGlite, the database of the embedded archive, could not be opened. Passing: it is opened again at the next call. */
export class PgliteUnavailable extends Schema.TaggedError<PgliteUnavailable>()("PgliteUnavailable", {
  code: Schema.tag("PGLITE_UNAVAILABLE"),
  directory: Schema.String,
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return `the archive in ${this.directory} can't be opened: ${causeOf(this.cause)}`
  }
}

/** DynamoDB did not answer, or has too much to do. Passing: the same call may be made again. */
export class DynamoUnavailable extends Schema.TaggedError<DynamoUnavailable>()("DynamoUnavailable", {
  code: Schema.tag("DYNAMODB_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** DynamoDB turns us away: no credentials or region, or a right that is missing. Correct the settings. */
export class DynamoRefused extends Schema.TaggedError<DynamoRefused>()("DynamoRefused", {
  code: Schema.tag("DYNAMODB_REFUSED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `DynamoDB at ${this.address} turns us away: ${this.reason}`
  }
}

/** A store is asked for whose client library is not installed. Install it beside this package. */
export class LibraryMissing extends Schema.TaggedError<LibraryMissing>()("LibraryMissing", {
  code: Schema.tag("LIBRARY_MISSING"),
  stores: Schema.Array(Schema.String),
  /** Each with the version that is wanted. */
  packages: Schema.Array(Schema.String),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return `${this.stores.join(" and ")} need client libraries that are not installed: npm install ${this.packages.join(" ")}`
  }
}

const causeOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
