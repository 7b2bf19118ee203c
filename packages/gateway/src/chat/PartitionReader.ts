/**
 * Reads one partition of a chat topic, once for all sockets of this gateway.
 *
 * ```
 *          recent: kept in memory          position
 *   ───────[──────────────────────────────)▼
 *      ▲ behind      ▲ behind              live      ▲ ahead
 *      reads the log    reads memory       is handed each record with its room
 * ```
 *
 * 1. A live socket has everything of its room below `position`. It is handed each record in the turn in which `position`
 *    passes it, so a socket that becomes live at `position` misses nothing and gets nothing twice.
 * 2. A socket that can't take more stops being live, and reads on later from where it was.
 * 3. A socket that was elsewhere first may be ahead; it becomes live when `position` comes to it.
 * 4. The sender of a message gets its answer instead of the message, in the same turn; in the open chat, both.
 * 5. A message that is a repeat goes to nobody; its sender gets the answer that the first one got.
 * 6. Messages of the open chat don't tell their place. The place follows them, before the reader waits for more.
 */
import {
  type ChatIdentity,
  type ChatMessage,
  decodeChat,
  type Incarnation,
  recordBytes,
  type RoomId,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import type { Chunk } from "@nimbus/domain/services"
import { Effect, Result } from "effect"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import type { Member } from "./Member.ts"
import { Repeats } from "./Repeats.ts"

/** The live sockets of a room. */
interface LiveRoom {
  readonly name: RoomId
  readonly members: Set<Member>
  /** The offset of the last record that all of them were given. */
  given: number
}

export interface PartitionReaderOptions {
  readonly topic: string
  readonly isOpen: boolean
  readonly partition: number
  readonly incarnation: Incarnation
  /** What no client can know. */
  readonly secret: string
  /** The end of the partition when the gateway came. */
  readonly end: number
  readonly limits: GatewayLimits
  readonly counts: Counts
  /** Sends a message to the live sockets of a room, but not to this one. */
  readonly send: (room: RoomId, message: ChatMessage, record: StoredRecord, except?: Member) => void
  /** Tells them that they have everything up to this offset. */
  readonly tell: (room: RoomId, offset: number) => void
  /** The socket with this id here. */
  readonly memberOf: (id: string) => Member | undefined
  /** Has a socket read what it misses, until it is live. */
  readonly catchUp: (member: Member) => void
  /** Takes what came after the gateway and has no live socket here. */
  readonly pass: (record: StoredRecord, partition: number) => void
}

export class PartitionReader {
  readonly partition: number
  readonly topic: string
  /** Records below this were handed over. */
  position: number
  readonly #options: PartitionReaderOptions
  readonly #rooms = new Map<string, LiveRoom>()
  readonly #ahead = new Set<Member>()
  #recent: Array<Chunk & { readonly bytes: number }> = []
  #recent_bytes = 0
  /** Messages of the open chat whose place was not told yet. */
  #untold = 0
  readonly repeats: Repeats

  constructor(options: PartitionReaderOptions) {
    this.#options = options
    this.repeats = new Repeats(options.limits.chat, options.incarnation, options.secret)
    this.partition = options.partition
    this.topic = options.topic
    // What came just before is read too, for sockets that come back, or come for the first time.
    this.position = Math.max(0, options.end - options.limits.chat.scan_records)
  }

  /** The first offset that memory goes back to. */
  get recentFrom(): number {
    return this.#recent[0]?.from ?? this.position
  }

  /** The end as far as it is known: no offset up to here is made up. */
  get end(): number {
    return Math.max(this.position, this.#options.end)
  }

  /** Takes what the log has next. */
  readonly take = Effect.fnUntraced({ self: this }, function* (this: PartitionReader, chunk: Chunk) {
    if (chunk.from > this.position) this.#leap(chunk.from)
    this.#remember(chunk)
    let turn = 0
    for (const record of chunk.records) {
      if (record.offset < this.position) continue
      this.#admit(record.offset)
      this.position = record.offset + 1
      this.#hand(record)
      if (this.#untold >= this.#options.limits.chat.tell_records) this.#tell()
      if (++turn % this.#options.limits.chat.turn_records === 0) yield* Effect.yieldNow
    }
    this.position = Math.max(this.position, chunk.next)
    this.#tell()
    this.#admit(this.position)
  })

  /** The socket goes on from where it is: live, if it is there. */
  join(member: Member): void {
    if (member.state === "gone") return
    if (member.next > this.position) {
      member.state = "ahead"
      this.#ahead.add(member)
      return
    }
    if (member.newest > 0) this.#giveNewest(member)
    member.state = "live"
    const room = this.#rooms.get(member.room) ?? { name: member.room, members: new Set(), given: -1 }
    room.members.add(member)
    this.#rooms.set(member.room, room)
    void member.socket.join(liveRoom(member))
    member.tellLive(this.position - 1)
  }

  /** The socket is live no more, and has everything below `position`. */
  leave(member: Member, state: "behind" | "gone"): void {
    if (member.state === "live") member.next = this.position
    member.state = state
    this.#ahead.delete(member)
    void member.socket.leave(liveRoom(member))
    const room = this.#rooms.get(member.room)
    room?.members.delete(member)
    if (room?.members.size === 0) this.#rooms.delete(member.room)
  }

  /** Gives a socket that is behind what memory has, until it is full, or has `turn_records` more looked through. */
  giveRecent(member: Member): void {
    let turn = this.#options.limits.chat.turn_records
    for (const { next, records } of this.#recent) {
      if (next <= member.next) continue
      for (const record of records) {
        if (record.offset < member.next) continue
        if (record.offset >= this.position || member.isFull || turn-- === 0) return
        if (record.key === member.room) this.give(member, record)
        member.next = record.offset + 1
      }
      member.next = Math.min(next, this.position)
    }
  }

  /** Where this message of a socket was said already, if the socket has everything up to there. */
  saidAt(member: Member, identity: ChatIdentity): number | undefined {
    const offset = this.repeats.saidAt(identity)
    return offset !== undefined && member.has(offset, this.position) ? offset : undefined
  }

  /** Gives a socket a record of its room that it has not. */
  give(member: Member, record: StoredRecord): void {
    member.give(decodeChat(record), record, this.repeats.firstOf(record.offset))
  }

  /** The first message in memory that is this text. */
  find(text: string): number | undefined {
    const json = Buffer.from(JSON.stringify(text))
    for (const { records } of this.#recent) {
      for (const record of records) {
        const { buffer, byteLength, byteOffset } = record.value
        if (record.offset >= this.position || !Buffer.from(buffer, byteOffset, byteLength).includes(json)) continue
        const decoded = decodeChat(record)
        if (Result.isSuccess(decoded) && decoded.success.data === text) return record.offset
      }
    }
    return undefined
  }

  /** Tells live sockets how far they are. */
  tellOffsets(): void {
    for (const { given, members } of this.#rooms.values()) {
      for (const member of members) member.tellOffset(this.position - 1, given)
    }
  }

  #hand(record: StoredRecord): void {
    if (record.unreadable !== undefined) return this.#options.counts.add("chatSkipped", 1)
    const first = this.repeats.take(record)
    const room = this.#rooms.get(record.key)
    if (room === undefined) {
      if (record.offset >= this.#options.end) this.#options.pass(record, this.partition)
      return
    }
    const decoded = decodeChat(record)
    if (Result.isFailure(decoded)) return this.#options.counts.add("chatSkipped", 1)
    const message = decoded.success
    const from = message.socket ?? message.sender
    const itself = from === undefined ? undefined : this.#options.memberOf(from)
    const sender = itself !== undefined && room.members.has(itself) ? itself : undefined
    if (first !== undefined) return sender?.acknowledge(message, first)
    this.#options.send(room.name, message, record, this.#options.isOpen ? undefined : sender)
    if (this.#options.isOpen) this.#untold++
    else if (sender === undefined) room.given = record.offset
    sender?.acknowledge(message, record.offset)
  }

  /** Of the open chat. */
  #tell(): void {
    if (this.#untold === 0) return
    this.#untold = 0
    const offset = this.position - 1
    for (const live of this.#rooms.values()) {
      this.#options.tell(live.name, offset)
      live.given = offset
    }
  }

  /** Those who wait for `position` to come to this offset are live from here. */
  #admit(offset: number): void {
    for (const member of this.#ahead) {
      if (member.next > offset) continue
      this.#ahead.delete(member)
      this.position = Math.max(this.position, offset)
      this.join(member)
    }
  }

  /** The newest messages of its room: as many as it asked for, as far as a socket takes them at once. */
  #giveNewest(member: Member): void {
    const { socket_buffer_bytes } = this.#options.limits
    const newest: Array<StoredRecord> = []
    let bytes = 0
    search: for (const { records } of this.#recent.toReversed()) {
      for (const record of records.toReversed()) {
        if (record.key !== member.room || record.offset >= this.position) continue
        bytes += recordBytes(record)
        if (newest.length >= member.newest || bytes > socket_buffer_bytes) break search
        newest.push(record)
      }
    }
    member.newest = 0
    for (const record of newest.toReversed()) this.give(member, record)
  }

  #remember(chunk: Chunk): void {
    let bytes = 0
    for (const record of chunk.records) bytes += recordBytes(record) + record_bytes
    this.#recent.push({ ...chunk, bytes })
    this.#recent_bytes += bytes
    while (this.#recent_bytes > this.#options.limits.chat.recent_bytes && this.#recent.length > 1) {
      this.#recent_bytes -= this.#recent.shift()?.bytes ?? 0
    }
  }

  /** Retention was faster than the reader: sockets find out for themselves what they lost. */
  #leap(from: number): void {
    this.#recent = []
    this.#recent_bytes = 0
    const overtaken = [...this.#ahead].filter(({ next }) => next < from)
    const members = [...this.#rooms.values()].flatMap(({ members }) => Array.from(members)).concat(overtaken)
    for (const member of members) this.leave(member, "behind")
    this.position = from
    for (const member of members) this.#options.catchUp(member)
  }
}

/** What a record takes up beside what is in it, about. */
const record_bytes = 128

/** The live sockets of a room, or of the open chat, as a room of Socket.IO. No id of a socket looks like it. */
export const liveRoom = ({ isOpen, room }: { readonly isOpen: boolean; readonly room: string }): string =>
  isOpen ? "open:live" : `live:${room}`
