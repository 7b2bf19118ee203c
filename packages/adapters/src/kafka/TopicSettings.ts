/**
 * Checks whether Nimbus can work with the settings of a topic, so that the start, and not a client, finds what Kafka
 * would lose or refuse.
 *
 * | setting | why |
 * | --- | --- |
 * | `cleanup.policy` | must be `delete`: compaction removes all records of a client but the last. Of revocations that one counts, and they may be compacted |
 * | `retention.ms` | topics that seqs travel through must be kept as long as mailboxes: a shorter time silently loses results of a client that is offline |
 * | | revocations have no age: a bound in time would let in again who is blocked |
 * | `segment.ms` | Kafka removes whole segments: a record may be kept this much longer. Forgetting clients waits for it |
 * | `retention.bytes` | a warning if it is less than for topics that are created, because the load is unknown |
 * | `max.message.bytes` | must allow the largest event, and its result |
 * | `min.insync.replicas` | must not exceed the number of replicas: nothing could be written |
 * | `message.timestamp.type` | a warning if it is not the time of the log: ages then depend on the clocks of writers |
 * | `unclean.leader.election.enable` | a warning if it is on: acknowledged records may be lost |
 */

/** What decides, of the settings that Kafka tells. */
export const settingNames = [
  "cleanup.policy",
  "retention.ms",
  "retention.bytes",
  "segment.ms",
  "max.message.bytes",
  "min.insync.replicas",
  "message.timestamp.type",
  "unclean.leader.election.enable",
] as const

export interface TopicAsSet {
  readonly topic: string
  readonly replicas: number
  /** Seqs travel through it. */
  readonly isOfSeqs: boolean
  /** The last record of each key counts, however old it is. */
  readonly isKept: boolean
  /** The shortest time for which it must keep records. */
  readonly keep_ms: number
  /** Some names may be missing, because brokers differ. */
  readonly settings: Readonly<Record<string, string>>
}

export interface Needs {
  readonly retention_bytes: number
  /** Of a topic of which the last record of each key counts. */
  readonly kept_bytes: number
  readonly message_bytes: number
}

export interface Judgement {
  /** Faults that prevent a start. */
  readonly faults: ReadonlyArray<Finding>
  /** Faults that are logged. */
  readonly doubts: ReadonlyArray<Finding>
}

export interface Finding {
  readonly topic: string
  /** One line with the present and the required setting. */
  readonly reason: string
}

export const judge = (topics: ReadonlyArray<TopicAsSet>, needs: Needs): Judgement => {
  const faults: Array<Finding> = []
  const doubts: Array<Finding> = []
  for (const one of topics) {
    const { topic } = one
    faults.push(...faultsOf(one, needs).map((reason) => ({ topic, reason })))
    doubts.push(...doubtsOf(one, needs).map((reason) => ({ topic, reason })))
  }
  return { faults, doubts }
}

/** The most that a batch may have; `undefined`: not told. */
export const messageBytesOf = ({ settings }: Pick<TopicAsSet, "settings">): number | undefined =>
  numberOf(settings, "max.message.bytes")

/** How long a record may be read after it was written; Infinity: for ever, or it is not told. */
export const retentionOf = ({ settings }: Pick<TopicAsSet, "settings">): number => {
  const retention_ms = numberOf(settings, "retention.ms") ?? -1
  const segment_ms = numberOf(settings, "segment.ms") ?? Infinity
  return retention_ms < 0 ? Infinity : retention_ms + segment_ms
}

const faultsOf = (one: TopicAsSet, needs: Needs): ReadonlyArray<string> => {
  const { isKept, isOfSeqs, keep_ms, replicas, settings } = one
  const faults: Array<string> = isKept ? [...keptFaultsOf(settings, needs)] : []
  const policy = settings["cleanup.policy"]
  if (!isKept && policy !== undefined && policy !== "delete") {
    faults.push(`has cleanup.policy=${policy}, which removes records that are still to be delivered: set it to delete`)
  }
  const retention_ms = numberOf(settings, "retention.ms")
  if (isOfSeqs && retention_ms !== undefined && retention_ms >= 0 && retention_ms < keep_ms) {
    faults.push(
      `has retention.ms=${retention_ms}, and mailboxes keep what waits for ${keep_ms} ms: set it to that or more`,
    )
  }
  const bytes = messageBytesOf({ settings })
  if (bytes !== undefined && bytes < needs.message_bytes) {
    faults.push(`has max.message.bytes=${bytes}: set it to ${needs.message_bytes} or more`)
  }
  const inSync = numberOf(settings, "min.insync.replicas")
  if (inSync !== undefined && inSync > replicas) {
    faults.push(`has min.insync.replicas=${inSync} and ${replicas} replicas, so that nothing can be written to it`)
  }
  return faults
}

/** What compaction alone keeps has no other bounds. */
const keptFaultsOf = (settings: TopicAsSet["settings"], needs: Needs): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (settings["cleanup.policy"] === "compact") return faults
  const retention_ms = numberOf(settings, "retention.ms")
  if (retention_ms !== undefined && retention_ms >= 0) {
    faults.push(`has retention.ms=${retention_ms}, after which who is blocked would be let in again: set it to -1`)
  }
  const bytes = numberOf(settings, "retention.bytes")
  if (bytes !== undefined && bytes >= 0 && bytes < needs.kept_bytes) {
    faults.push(
      `has retention.bytes=${bytes}, in which not all that is in force has room: set it to ${needs.kept_bytes}`,
    )
  }
  return faults
}

const doubtsOf = ({ isOfSeqs, settings }: TopicAsSet, needs: Needs): ReadonlyArray<string> => {
  const doubts: Array<string> = []
  const retention_bytes = numberOf(settings, "retention.bytes")
  if (isOfSeqs && retention_bytes !== undefined && retention_bytes >= 0 && retention_bytes < needs.retention_bytes) {
    doubts.push(
      `has retention.bytes=${retention_bytes}, less than NIMBUS_KAFKA_RETENTION_BYTES: results may be gone before their client is back`,
    )
  }
  if (settings["message.timestamp.type"] === "CreateTime") {
    doubts.push("has message.timestamp.type=CreateTime: ages go by the clocks of writers, and not by the log's")
  }
  if (settings["unclean.leader.election.enable"] === "true") {
    doubts.push("has unclean.leader.election.enable=true: Kafka may lose what it has acknowledged")
  }
  return doubts
}

const numberOf = (settings: Readonly<Record<string, string>>, name: (typeof settingNames)[number]) => {
  const text = settings[name]
  return text === undefined || text === "" ? undefined : Number(text)
}
