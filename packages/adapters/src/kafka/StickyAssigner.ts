/**
 * Who gets which partition of a topic: shares that differ by at most one, and everybody keeps what they had as far as
 * that allows. So a router mostly gets the partitions back whose memory it has.
 *
 * Each member tells what it had when it joins, in the `userData` of Kafka's consumer protocol; the leader assigns.
 *
 * A member that reads another topic gets nothing: it is of another installation, which has its group's name by mistake,
 * and a partition given to it would be read by nobody.
 */
import { AssignerProtocol } from "kafkajs"
import { Option, Schema } from "effect"

/** The protocol's name: members of a group all have the same. */
export const protocolName = "nimbus-sticky"

export interface MemberClaim {
  readonly memberId: string
  /** The topics that it reads. */
  readonly topics: ReadonlyArray<string>
  /** What it had last. Two may claim the same: one was away when the other got it. */
  readonly had: ReadonlyArray<number>
}

/** Every partition of the topic, which are those below `partitions`, goes to one member that reads it. */
export const assign = (
  claims: ReadonlyArray<MemberClaim>,
  topic: string,
  partitions: number,
): ReadonlyMap<string, ReadonlyArray<number>> => {
  const members = claims.filter(({ topics }) => topics.includes(topic))
  const free = new Set(Array.from({ length: partitions }, (_, partition) => partition))
  const small = Math.floor(partitions / Math.max(1, members.length))
  let larger = partitions - small * members.length
  // The larger shares go to who had most; every member computes the same order.
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

/** A claim that is not ours is none. */
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
