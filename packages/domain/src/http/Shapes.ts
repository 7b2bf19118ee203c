/** Parameters and bodies of the HTTP API. Handlers decode and encode by these very schemas. */
import { Schema } from "effect"
import { RoomMessage } from "../protocol/Chat.ts"
import { fromDigits } from "../json/Digits.ts"
import { ClientId, Cursor, EventId, Incarnation, RoomId, Seq } from "../protocol/Ids.ts"
import { pageLimits } from "../Limits.ts"
import { Message } from "../services/Publisher.ts"
import { Result } from "../protocol/Records.ts"

const client = ClientId.annotate({ description: "1 to 128 characters of `A-Za-z0-9._:@-`." })
const Natural = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** `:clientId` in a path. */
export const ClientPath = Schema.Struct({ clientId: client })

/** `:room` in a path, as `encodeURIComponent` writes it. */
export const RoomPath = Schema.Struct({ room: RoomId })

/** One message for a client, or several in their order. */
export const MessagesBody = Schema.Union([Message, Schema.Array(Message)])

const Cancel = Schema.Struct({
  id: EventId.annotate({
    description: "The id of the event that opened the task. Of several open ones with this id, the latest is meant.",
  }),
})

/** One cancel of a task of a client, or several. */
export const CancelsBody = Schema.Union([Cancel, Schema.Array(Cancel)])

/**
 * The log has the messages or cancels: their ids and seqs, in the order of the request. The client gets a message under these;
 * a cancel has a place in its order as well.
 */
export const Receipts = Schema.Struct({ receipts: Schema.Array(Schema.Struct({ id: EventId, seq: Seq })) })

const digits = <A extends number>(integer: Schema.Codec<A, number>, description: string) =>
  Schema.optionalKey(fromDigits(integer, description))

const PageLimit = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: pageLimits.page_records }))

/** Which page of the archive. */
export const PageQuery = Schema.Struct({
  after: digits(Cursor, "The `seq` or `offset` before the first that is wanted, in decimal digits. Default: -1."),
  limit: digits(
    PageLimit,
    `At most so many records, from 1 to ${pageLimits.page_records}. Default: ${pageLimits.page_default_records}.`,
  ),
  incarnation: Schema.optionalKey(Incarnation).annotate({
    description: "An earlier life of the topics. Default: this one.",
  }),
  partition: digits(Natural, "Messages in this partition that have no place in the room's history."),
})

const next = Schema.NullOr(Cursor).annotate({
  description: "The `after` of the page that follows; null where nothing follows yet.",
})

/** Results of a client, in the order of their seqs. */
export const ResultsPage = Schema.Struct({ incarnation: Incarnation, results: Schema.Array(Result), next })

/** Messages of a room, in the order of their offsets. `timestamp`: ms since 1970. */
export const MessagesPage = Schema.Struct({
  incarnation: Incarnation,
  messages: Schema.Array(Schema.Struct({ offset: Natural, timestamp: Schema.Int, ...RoomMessage.fields })),
  next,
})

/** Stands for a token, once, for a short time. */
export const Ticket = Schema.Struct({
  ticket: Schema.String.annotate({ description: "For `?ticket=` of one connection, within 30 s." }),
})

/** What a client says in the URL of a WebSocket. */
export const StreamQuery = Schema.Struct({
  clientId: Schema.optionalKey(client).annotate({
    description:
      "1 to 128 characters of `A-Za-z0-9._:@-`. With locks it may be left out: the client that the token names.",
  }),
  after: digits(Cursor, "The last seq that the client has; -1 or absent: none. Counts as an ack."),
  log: Schema.optionalKey(Incarnation).annotate({
    description: "The incarnation of the log that `after` belongs to, from an earlier `welcome`.",
  }),
  ack: Schema.optionalKey(Schema.Literals(["client", "auto"])).annotate({
    description: "`client`: only `ack` frames count. `auto`: the gateway finds out by pings what the client has read.",
  }),
  journey: Schema.optionalKey(Schema.Literals(["true", "false"])).annotate({
    description: "Whether each result comes with the steps of its journey so far.",
  }),
  ticket: Schema.optionalKey(Schema.String).annotate({
    description: "With locks: of `POST /v1/tickets`, for who can send no token. It counts once, for 30 s.",
  }),
  frames: Schema.optionalKey(Schema.Literal("all")).annotate({
    description: "A client of NimbusWS wants the frames that only Nimbus has as well.",
  }),
})
