/**
 * A socket in its room: how far it is, what waits for it, and which of its own messages wait for their answer.
 *
 * Its own messages come back to it as answers, in their place: whatever it was given or answered, it has everything of
 * the room up to there.
 */
import type { CorruptRecord } from "@nimbus/domain/errors"
import type { ChatMessage, ChatMessageId, RoomId, StoredRecord } from "@nimbus/domain/protocol"
import { Latch, Result } from "effect"
import type { Sender } from "../delivery/Intake.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import type { Badge } from "./Badge.ts"
import type { Conversation } from "./Conversation.ts"
import { positionAt } from "./Position.ts"
import type { Answer, ChatSocket, MessageInfo, Refusal } from "./ChatEvents.ts"

/** `behind`: it reads what it missed. `ahead`: it waits for the partition's reader to come to where it is. */
export type State = "behind" | "ahead" | "live" | "gone"

/** Where a message stands in the log. */
export type At = Pick<StoredRecord, "offset" | "timestamp">

export interface MemberOptions {
  readonly socket: ChatSocket
  readonly conversation: Conversation
  /** Who says what it says, over all of its connections. */
  readonly author: string
  /** Who it is where there are locks. */
  readonly badge: Badge | undefined
  readonly limits: Pick<GatewayLimits, "socket_buffer_bytes" | "chat">
  readonly counts: Counts
  /** How it is given a message that it alone is to get. */
  readonly say: (member: Member, message: ChatMessage, at: At) => void
  /** Called when so much waits for it that it can't stay live. */
  readonly onFull: (member: Member) => void
}

export class Member implements Sender<ChatMessageId> {
  readonly socket: ChatSocket
  readonly conversation: Conversation
  readonly author: string
  readonly badge: Badge | undefined
  state: State = "behind"
  /** While it is not live: everything of the room below this was handed over. */
  next = 0
  /** How many of the newest messages it is to get before it is live. */
  newest = 0
  /** The queue of its partition is full: it must not send. */
  isPaused = false
  /** Open while the transport takes more. */
  readonly room_left = Latch.makeUnsafe(true)
  readonly #limits: MemberOptions["limits"]
  readonly #counts: Counts
  readonly #say: MemberOptions["say"]
  readonly #onFull: MemberOptions["onFull"]
  readonly #waiting = new Map<ChatMessageId, Array<(answer: Answer) => void>>()
  #waiting_answers = 0
  #buffered_bytes = 0
  /** The last offset that it was told in so many words. */
  #told = -1
  /** Messages of the open chat that it alone was given since it was told its place. */
  #untold = 0

  constructor({ author, badge, conversation, counts, limits, onFull, say, socket }: MemberOptions) {
    this.socket = socket
    this.conversation = conversation
    this.author = author
    this.badge = badge
    this.#say = say
    this.#limits = limits
    this.#counts = counts
    this.#onFull = onFull
    this.#watchTransport()
  }

  /** What its messages have for a sender. */
  get sender(): string {
    return this.badge?.sender ?? this.socket.id
  }

  get isOpen(): boolean {
    return this.conversation.isOpen
  }

  get room(): RoomId {
    return this.conversation.room
  }

  get mark(): string {
    return this.conversation.mark
  }

  get isFull(): boolean {
    return this.#buffered_bytes > this.#limits.socket_buffer_bytes
  }

  get waiting(): number {
    return this.#waiting_answers
  }

  /** Hands over a message of its room that it alone is to get now. `first`: of a repeat, where it was said first. */
  give(message: Result.Result<ChatMessage, CorruptRecord>, at: At, first?: number): void {
    if (Result.isFailure(message)) return this.#counts.add("chatSkipped", 1)
    const isItsOwn = this.#hasSent(message.success)
    if (first !== undefined) return isItsOwn ? this.acknowledge(message.success, first) : undefined
    if (isItsOwn && !this.isOpen) return this.acknowledge(message.success, at.offset)
    this.#say(this, message.success, at)
    if (isItsOwn) this.acknowledge(message.success, at.offset)
    if (!this.isOpen) this.#told = at.offset
    else if (++this.#untold >= this.#limits.chat.tell_records) this.tellOffset(at.offset, -1)
  }

  /** The archive does not have the socket of a subject's message: there the one that waits for it is taken. */
  #hasSent({ id, sender, socket }: ChatMessage): boolean {
    if (socket !== undefined) return socket === this.socket.id
    if (this.badge === undefined) return sender === this.socket.id
    return sender === this.sender && id !== undefined && this.#waiting.has(id)
  }

  /** A message of its own is to go into the log. `false`: it is on its way there already, and has one answer for both. */
  await(id: ChatMessageId, answer: (answer: Answer) => void): boolean {
    const earlier = this.#waiting.get(id)
    if (earlier === undefined) this.#waiting.set(id, [answer])
    else earlier.push(answer)
    this.#waiting_answers++
    return earlier === undefined
  }

  /** Whether it was given, or answered, everything up to this offset. */
  has(offset: number, position: number): boolean {
    return this.state === "live" ? offset < position : offset < this.next
  }

  /** Its own message has come back from the log, and everything before it was handed over. */
  acknowledge({ id }: ChatMessage, offset: number): void {
    if (id === undefined) return
    this.#answer(id, { id, offset: positionAt(this.mark, offset) })
  }

  #answer(id: ChatMessageId, answer: Answer): void {
    const answers = this.#waiting.get(id) ?? []
    this.#waiting.delete(id)
    this.#waiting_answers -= answers.length
    for (const tell of answers) tell(answer)
  }

  /** The answers come from the log as it is read. */
  accepted(): void {}

  unavailable(): void {
    for (const id of this.#waiting.keys()) {
      this.#answer(id, { error: { code: "LOG_UNAVAILABLE", message: unavailable, id } })
    }
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  refuse(refusal: Refusal): void {
    this.#counts.addTo("refused", refusal.code)
    this.socket.emit("refused", refusal)
  }

  /** Tells that it is live, having everything up to this offset; -1: there is nothing yet, and it comes back to all of it. */
  tellLive(offset: number): void {
    const room = this.isOpen ? {} : { room: this.room }
    this.#told = Math.max(this.#told, offset)
    this.#untold = 0
    this.socket.emit("live", room, positionAt(this.mark, offset))
  }

  /** Tells how far it is, if it can't know from messages. `given`: the last that all of the room were given. */
  tellOffset(offset: number, given: number): void {
    if (offset < 0 || offset <= Math.max(this.#told, given)) return
    this.#told = offset
    this.#untold = 0
    this.socket.emit("offset", positionAt(this.mark, offset))
  }

  /**
   * What the transport has not taken: packets wait in Engine.IO's buffer until the ones before are with the kernel. The
   * part that is on its way there is at most as much again. What bounds both is in `Outgoing.ts`.
   */
  #watchTransport(): void {
    const { conn } = this.socket
    conn.on("packetCreate", ({ data }: { readonly data?: string | Buffer }) => {
      this.#buffered_bytes += data?.length ?? 0
      if (!this.isFull) return
      this.room_left.closeUnsafe()
      if (this.state === "live") this.#onFull(this)
    })
    conn.on("drain", () => {
      this.#buffered_bytes = 0
      this.room_left.openUnsafe()
    })
  }
}

const unavailable = "the log may not have the message; if it does, it comes back with your next connection"

/** What clients get beside the data. */
export const infoOf = ({ id, sender }: ChatMessage, { timestamp }: Pick<At, "timestamp">): MessageInfo => ({
  ...(id !== undefined && { id }),
  ...(sender !== undefined && { sender }),
  time: timestamp,
})
