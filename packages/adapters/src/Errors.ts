/**
 * Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`
 * together with what the caller can do about it.
 */
import { Inspectable, Schema } from "effect"

/** The store on disk could not be read or written: disk full, no permission, closed. Nothing of the step was written. */
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

/** The data directory has no database of Nimbus, or a truncated one. Restore it, or start with an empty one. */
export class DataDirectoryCorrupt extends Schema.TaggedError<DataDirectoryCorrupt>()("DataDirectoryCorrupt", {
  code: Schema.tag("DATA_DIRECTORY_CORRUPT"),
  directory: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `the data directory ${this.directory} can't be read: ${this.reason}; restore it, or set NIMBUS_DATA to an empty one`
  }
}

/** Redis did not respond, or not as expected. Passing: the adapter reconnects, and the same call may be repeated. */
export class RedisUnavailable extends Schema.TaggedError<RedisUnavailable>()("RedisUnavailable", {
  code: Schema.tag("REDIS_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** Redis refuses access: the password is wrong or missing, or the user lacks a permission. Correct the settings. */
export class RedisRefused extends Schema.TaggedError<RedisRefused>()("RedisRefused", {
  code: Schema.tag("REDIS_REFUSED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} turns us away: ${this.reason}`
  }
}

/** The certificate of Redis is not trusted or is for another host, or the peer has no TLS. Correct the settings. */
export class RedisTlsFailed extends Schema.TaggedError<RedisTlsFailed>()("RedisTlsFailed", {
  code: Schema.tag("REDIS_TLS_FAILED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `no TLS with Redis at ${this.address}: ${this.reason}`
  }
}

/** Redis would remove keys, and results with them, when its memory is full. Set `maxmemory-policy` to `noeviction`. */
export class RedisEvicts extends Schema.TaggedError<RedisEvicts>()("RedisEvicts", {
  code: Schema.tag("REDIS_EVICTS"),
  address: Schema.String,
  policy: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} has maxmemory-policy ${this.policy}: it must be noeviction`
  }
}

/** Redis has reached its `maxmemory`. Raise it, or wait until clients have acknowledged their waiting results. */
export class RedisFull extends Schema.TaggedError<RedisFull>()("RedisFull", {
  code: Schema.tag("REDIS_FULL"),
  address: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} is full: raise its maxmemory. Clients that it knows go on and make room as they acknowledge; new ones, and results for those away, wait`
  }
}

/** Redis accepts no writes: a replica, or a master that can't write. Name the master, or correct what the reason says. */
export class RedisReadOnly extends Schema.TaggedError<RedisReadOnly>()("RedisReadOnly", {
  code: Schema.tag("REDIS_READ_ONLY"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `Redis at ${this.address} takes no writes: ${this.reason}`
  }
}

/** The running processes, or the last ones, keep the mailboxes elsewhere. Configure the same, or remove the key. */
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

/** Processes of another protocol run, or left their key. Stop all of them, and start those of one protocol. */
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

/** PostgreSQL did not respond, or failed a statement. Passing: the same call may be repeated. */
export class PostgresUnavailable extends Schema.TaggedError<PostgresUnavailable>()("PostgresUnavailable", {
  code: Schema.tag("POSTGRES_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** PostgreSQL refuses access: wrong password, user or database, or a missing permission. Correct the settings. */
export class PostgresRefused extends Schema.TaggedError<PostgresRefused>()("PostgresRefused", {
  code: Schema.tag("POSTGRES_REFUSED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `PostgreSQL at ${this.address} turns us away: ${this.reason}`
  }
}

/** The certificate of PostgreSQL is not trusted or is for another host, or the server has no TLS. Correct the settings. */
export class PostgresTlsFailed extends Schema.TaggedError<PostgresTlsFailed>()("PostgresTlsFailed", {
  code: Schema.tag("POSTGRES_TLS_FAILED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `no TLS with PostgreSQL at ${this.address}: ${this.reason}`
  }
}

/** Kafka did not respond, or not as expected. Passing: the adapter reconnects, and the same call may be repeated. */
export class KafkaUnavailable extends Schema.TaggedError<KafkaUnavailable>()("KafkaUnavailable", {
  code: Schema.tag("KAFKA_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** Kafka refuses access: wrong user or password, or a missing permission. Correct the settings. */
export class KafkaRefused extends Schema.TaggedError<KafkaRefused>()("KafkaRefused", {
  code: Schema.tag("KAFKA_REFUSED"),
  brokers: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `Kafka at ${this.brokers} turns us away: ${this.reason}`
  }
}

/** The certificate of Kafka is not trusted or is for another host, or the port has no TLS. Correct the settings. */
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

/** A topic does not exist, and may not be created. Create it, or set `NIMBUS_KAFKA_CREATE_TOPICS`. */
export class KafkaTopicMissing extends Schema.TaggedError<KafkaTopicMissing>()("KafkaTopicMissing", {
  code: Schema.tag("KAFKA_TOPIC_MISSING"),
  topic: Schema.String,
}) {
  override get message(): string {
    return `Kafka has no topic ${this.topic}, and NIMBUS_KAFKA_CREATE_TOPICS is off`
  }
}

/** The settings of a topic would lose or refuse records. Correct them as the message says; see `docs/operations.md`. */
export class KafkaTopicUnfit extends Schema.TaggedError<KafkaTopicUnfit>()("KafkaTopicUnfit", {
  code: Schema.tag("KAFKA_TOPIC_UNFIT"),
  /** Of each topic what is wrong. */
  reasons: Schema.Array(Schema.String),
}) {
  override get message(): string {
    return this.reasons.map((reason) => `the topic ${reason}`).join("; ")
  }
}

/** A topic was deleted, or deleted and recreated, while this process runs. Restart it when the topic exists. */
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

/** Partitions were added to a topic while this process runs. They can't be used: clients stay in the first ones. */
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

/** A batch of another producer can't be read. The quarantine gets its bytes and the reason, and reading continues. */
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

/** A transaction of another producer stays open, and no later record can be read. Passing: Kafka or its producer ends it. */
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

/** PGlite, the database of the embedded archive, could not be opened. Passing: the next call tries again. */
export class PgliteUnavailable extends Schema.TaggedError<PgliteUnavailable>()("PgliteUnavailable", {
  code: Schema.tag("PGLITE_UNAVAILABLE"),
  directory: Schema.String,
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return `the archive in ${this.directory} can't be opened: ${causeOf(this.cause)}`
  }
}

/** DynamoDB did not respond, or is overloaded. Passing: the same call may be repeated. */
export class DynamoUnavailable extends Schema.TaggedError<DynamoUnavailable>()("DynamoUnavailable", {
  code: Schema.tag("DYNAMODB_UNAVAILABLE"),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return causeOf(this.cause)
  }
}

/** DynamoDB refuses access: credentials, a region or a permission are missing. Correct the settings. */
export class DynamoRefused extends Schema.TaggedError<DynamoRefused>()("DynamoRefused", {
  code: Schema.tag("DYNAMODB_REFUSED"),
  address: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `DynamoDB at ${this.address} turns us away: ${this.reason}`
  }
}

/** The client library of a configured store is not installed. Install it beside this package. */
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

/** The service of an HTTP handler refuses the event (4xx). Permanent: its result is an error with this message. */
export class HttpHandlerRefused extends Schema.TaggedError<HttpHandlerRefused>()("HttpHandlerRefused", {
  code: Schema.tag("HTTP_HANDLER_REFUSED"),
  status: Schema.Int,
  /** What the service says to the client. */
  reason: Schema.optionalKey(Schema.String),
}) {
  override get message(): string {
    return this.reason ?? `the service of the handler refused the event (HTTP ${this.status})`
  }
}

/**
 * The service of an HTTP handler did not respond in time, or with 5xx. Passing: it is called again in the time of the
 * event, and each failure is logged. What only operators may know is in `cause`.
 */
export class HttpHandlerUnavailable extends Schema.TaggedError<HttpHandlerUnavailable>()("HttpHandlerUnavailable", {
  code: Schema.tag("HTTP_HANDLER_UNAVAILABLE"),
  reason: Schema.String,
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return `the service of the handler ${this.reason}`
  }
}

/** The answer of an HTTP handler is none: it is no JSON, too large, or a redirect. Permanent: correct the service. */
export class HttpHandlerAnswerInvalid extends Schema.TaggedError<HttpHandlerAnswerInvalid>()(
  "HttpHandlerAnswerInvalid",
  {
    code: Schema.tag("HTTP_HANDLER_ANSWER_INVALID"),
    reason: Schema.String,
    cause: Schema.Defect(),
  },
) {
  override get message(): string {
    return `the answer of the handler's service ${this.reason}`
  }
}

/** A file or a key that a setting of the locks names is not there, or is none. Permanent: correct it. */
export class LocksBad extends Schema.TaggedError<LocksBad>()("LocksBad", {
  code: Schema.tag("LOCKS_BAD"),
  setting: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `${this.setting}: ${this.reason}`
  }
}

/** An issuer did not give its keys. Passing: it is asked again, and what is known of its keys serves meanwhile. */
export class KeysUnavailable extends Schema.TaggedError<KeysUnavailable>()("KeysUnavailable", {
  code: Schema.tag("KEYS_UNAVAILABLE"),
  reason: Schema.String,
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return this.reason
  }
}

const causeOf = (cause: unknown): string =>
  cause instanceof Error ? cause.message : Inspectable.toStringUnknown(cause)
