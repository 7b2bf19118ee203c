/**
 * Assigns the partitions of a topic to members: the shares differ by at most one, and within that every member keeps
 * the partitions that it had. A router therefore mostly gets back the partitions whose state it has in memory.
 *
 * When a member joins, it sends the partitions that it had in the `userData` of the consumer protocol of Kafka. The
 * leader assigns.
 *
 * A member that reads another topic gets nothing: it belongs to another installation that uses the same group by
 * mistake, and a partition assigned to it would not be read.
 */
import { AssignerProtocol } from "kafkajs"
import { Option, Schema } from "effect"

/** The name of the protocol, which is the same for all members of a group. */
export const protocolName = "nimbus-sticky"

export interface MemberClaim {
  readonly memberId: string
  /** The topics that it reads. */
  readonly topics: ReadonlyArray<string>
  /** The partitions that it had. Two members may claim the same one: one was absent when the other got it. */
  readonly had: ReadonlyArray<number>
}

/** Assigns every partition of the topic, which are those below `partitions`, to one member that reads the topic. */
export const assign = (
  claims: ReadonlyArray<MemberClaim>,
  topic: string,
  partitions: number,
): ReadonlyMap<string, ReadonlyArray<number>> => {
  const members = claims.filter(({ topics }) => topics.includes(topic))
  const free = new Set(Array.from({ length: partitions }, (_, partition) => partition))
  const small = Math.floor(partitions / Math.max(1, members.length))
  let larger = partitions - small * members.length
  // The larger shares go to the members that had most. Every member computes the same order.
  const ordered = members.toSorted((a, b) => b.had.length - a.had.length || (a.memberId < b.memberId ? -1 : 1))
  const shares = ordered.map(({ had, memberId }) => {
    const share = larger-- > 0 ? small + 1 : small
    const kept = had.filter((partition) => free.has(partition)).slice(0, share)
    for (const partition of kept) free.delete(partition)
    return { memberId, kept, lacks: share - kept.length }
  })
  const rest = [...free]
  return new Map(
    shares.map(({ kept, lacks, memberId }) => [memberId, [...kept, ...rest.splice(0, lacks)].sort(byNumber)]),
  )
}

const byNumber = (a: number, b: number): number => a - b

export const encodeClaim = (topic: string, had: ReadonlyArray<number>): Buffer =>
  AssignerProtocol.MemberMetadata.encode({ version: 1, topics: [topic], userData: Buffer.from(JSON.stringify(had)) })

/** A claim in another format counts as none. */
export const decodeClaim = (memberId: string, metadata: Buffer): MemberClaim => {
  const decoded = AssignerProtocol.MemberMetadata.decode(metadata)
  const had = Option.getOrElse(decodeHad(decoded?.userData.toString() ?? ""), () => [])
  return { memberId, topics: decoded?.topics ?? [], had }
}

const decodeHad = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Array(Schema.Int)))

export const encodeAssignment = (topic: string, partitions: ReadonlyArray<number>): Buffer =>
  AssignerProtocol.MemberAssignment.encode({
    version: 1,
    assignment: { [topic]: [...partitions] },
    userData: Buffer.alloc(0),
  })

/** Our partitions, and the other topics that the group has if it gave us partitions of those. */
export const decodeAssignment = (
  topic: string,
  assignment: Buffer,
): { readonly partitions: ReadonlyArray<number>; readonly others: ReadonlyArray<string> } => {
  const { [topic]: partitions = [], ...others } = AssignerProtocol.MemberAssignment.decode(assignment)?.assignment ?? {}
  return { partitions, others: Object.keys(others) }
}
