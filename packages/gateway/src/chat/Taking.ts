/**
 * What a socket says: a message for its room, a broadcast, its next token. Each is refused before anything becomes of it,
 * with the reason, or goes where it belongs.
 */
import { Elapsed } from "@nimbus/domain/observability"
import type { TokenBucket } from "@nimbus/domain/pacing"
import { ChatMessageId, encodeChat } from "@nimbus/domain/protocol"
import type { RandomIds } from "@nimbus/domain/services"
import { type Clock, Effect, Result } from "effect"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import { type Badge, refusalOf } from "./Badge.ts"
import type { Answer, ChatServer, Refusal } from "./ChatEvents.ts"
import { tokenIn } from "./ConnectRequest.ts"
import type { Hall } from "./Hall.ts"
import { answerOf, incomingOf } from "./Incoming.ts"
import type { Member } from "./Member.ts"
import { isPlace } from "./OpenPosition.ts"
import { positionAt } from "./Position.ts"

export interface TakingParts {
  readonly limits: Pick<GatewayLimits, "chat">
  readonly counts: Counts
  readonly ids: RandomIds
  readonly clock: Clock.Clock
  readonly io: ChatServer
  readonly run: (effect: Effect.Effect<void>) => unknown
  readonly hallOf: (member: Member) => Hall
  readonly isLeaving: () => boolean
}

export const makeTaking = ({ clock, counts, hallOf, ids, io, isLeaving, limits, run }: TakingParts) => {
  const mayNot = (bucket: TokenBucket): Refusal | undefined => {
    if (isLeaving()) return { code: "GOING_AWAY", message: "the gateway is leaving; send again after reconnecting" }
    if (bucket.take(Elapsed.msUnsafe(clock))) return undefined
    return { code: "RATE_LIMITED", message: `more than ${limits.chat.messages_per_second} messages a second` }
  }
  const isBusy = (member: Member): Refusal | undefined =>
    member.isPaused || member.waiting >= limits.chat.waiting_messages
      ? { code: "BUSY", message: "too much waits for the log; send again later" }
      : undefined
  /** A refusal goes where the answer would have gone, or on its own. */
  const refuse = (member: Member, answer: ((answer: Answer) => void) | undefined, refusal: Refusal): void => {
    if (answer === undefined) return member.refuse(refusal)
    counts.addTo("refused", refusal.code)
    answer({ error: refusal })
  }

  /** Only who waits for an answer is told: whatever else a program emits, nobody has asked about it. */
  const takeUnknown = (bucket: TokenBucket, args: ReadonlyArray<unknown>): void => {
    const error = mayNot(bucket) ?? { code: "UNKNOWN_EVENT", message: "the chat has no event of this name" }
    counts.addTo("refused", error.code)
    answerOf(args)?.({ error })
  }

  const takeMessage = (member: Member, bucket: TokenBucket, args: ReadonlyArray<unknown>): void => {
    const answer = answerOf(args)
    const refusal =
      mayNot(bucket) ?? member.badge?.deniesMore() ?? member.badge?.deniesOf("room:publish") ?? isBusy(member)
    if (refusal !== undefined) return refuse(member, answer, refusal)
    const incoming = incomingOf(args, limits.chat.message_bytes)
    if (Result.isFailure(incoming)) return refuse(member, answer, incoming.failure)
    const { data, id: chosen } = incoming.success
    if (member.isOpen && isPlace(member.mark, data)) {
      return refuse(member, answer, { code: "BAD_MESSAGE", message: "the text is that of a place of this chat" })
    }
    const { author, room, socket } = member
    const id = chosen ?? ChatMessageId.make(ids.uuid())
    const said = chosen && hallOf(member).readerOf(member.conversation).saidAt(member, { room, author, id })
    if (said !== undefined) return answer?.({ id, offset: positionAt(member.mark, said) })
    const isNew = member.await(id, (told) => {
      if ("error" in told) refuse(member, answer, told.error)
      else answer?.(told)
    })
    const from = { sender: member.sender, ...(member.badge !== undefined && { socket: socket.id }) }
    const record = encodeChat({ room, id, ...from, data }, chosen && author)
    if (isNew) hallOf(member).intake.put(record, { sender: member, id })
  }

  const takeBroadcast = (member: Member, bucket: TokenBucket, args: ReadonlyArray<unknown>): void => {
    const answer = answerOf(args)
    const refusal = mayNot(bucket) ?? member.badge?.deniesMore() ?? member.badge?.deniesBroadcast()
    if (refusal !== undefined) return refuse(member, answer, refusal)
    const incoming = incomingOf(args, limits.chat.message_bytes)
    if (Result.isFailure(incoming)) return refuse(member, answer, incoming.failure)
    io.emit("broadcast", { sender: member.sender, data: incoming.success.data })
    answer?.({})
  }

  const takeAuth = (member: Member, badge: Badge, bucket: TokenBucket, args: ReadonlyArray<unknown>): void => {
    const answer = answerOf(args)
    const token = tokenIn(args[0])
    const refusal = mayNot(bucket) ?? (badge.isRenewing ? isRenewing : undefined)
    if (refusal !== undefined) return refuse(member, answer, refusal)
    if (token === undefined) return refuse(member, answer, noToken)
    run(
      Effect.match(badge.renew(token), {
        onSuccess: (seconds) => answer?.(seconds === undefined ? {} : { seconds }),
        onFailure: (denied) => {
          refuse(member, answer, refusalOf(denied))
          badge.failed(denied)
        },
      }),
    )
  }

  return { message: takeMessage, broadcast: takeBroadcast, auth: takeAuth, unknown: takeUnknown }
}

const isRenewing: Refusal = { code: "BUSY", message: "the token that came before is still looked at" }
const noToken: Refusal = { code: "BAD_MESSAGE", message: "auth has one argument: an object with a token" }
