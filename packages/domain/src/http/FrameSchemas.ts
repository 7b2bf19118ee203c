/**
 * The frames of the native WebSocket as JSON Schema (draft 2020-12), generated from the schemas that decode them. Gateways
 * serve it at `/v1/frames.schema.json`, for clients in other languages: they generate types from it, or check frames
 * against `#/$defs/ClientFrame` and `#/$defs/ServerFrame`.
 *
 * The descriptions stand here and not on the schemas themselves, so that the SDK does not carry them into browsers.
 */
import { JsonSchema, Schema } from "effect"
import {
  Accepted,
  AckFrame,
  Authenticated,
  AuthFrame,
  CancelFrame,
  Cancelling,
  ErrorFrame,
  EventFrame,
  Expiring,
  Lost,
  PingFrame,
  Pong,
  Refused,
  ResultItem,
  Results,
  StatusFrame,
  subprotocol,
  Welcome,
} from "../protocol/Frames.ts"
import { JourneyStep } from "../protocol/Journey.ts"
import { Failure } from "../protocol/Records.ts"

/** The same schema under a name and with descriptions. `parts`: fields whose own schemas have names and descriptions. */
const described = <Fields extends Readonly<Record<string, Schema.Top>>>(
  { fields }: Schema.Struct<Fields>,
  identifier: string,
  description: string,
  texts: { readonly [Name in keyof Fields]?: string },
  parts: { readonly [Name in keyof Fields]?: Schema.Top } = {},
) =>
  Schema.Struct(
    Object.fromEntries(
      Object.entries(fields).map(([name, field]) => {
        const [schema, text] = [parts[name] ?? field, texts[name]]
        return [name, text === undefined ? schema : schema.annotate({ description: text })]
      }),
    ),
  ).annotate({ identifier, description })

/** Made when they are asked for: most processes never are. */
const failure = () =>
  described(Failure, "Failure", "Why an event has no data in its result.", {
    code: "A code of docs/errors.md, or one of the handler's own.",
    message: "A sentence for people.",
  })

const journeyStep = () =>
  described(JourneyStep, "JourneyStep", "One step that an event or its result took.", {
    time: "ms since 1970, by the clock of the instance.",
    service: "gateway, log, event-consumer, result-consumer or replay-consumer.",
    instance: "Which process.",
    details: "`rule`: why it took this step; and what else is known, such as topic, partition and offset.",
  })

const resultItem = () =>
  described(
    ResultItem,
    "ResultItem",
    "One result of an event, one part or the end of a task, or one message to the client. It has `data` or `error`.",
    {
      seq: "The place in the client's order. Remember the last one that you are done with.",
      id: "The id of the event, or of the message.",
      name: "The name of the event, or of the message.",
      data: "What the handler returned, or what the message says.",
      repeated: "The seq of the event or message that used the id before: this one is a repeat, and no handler ran.",
      of: "Of a part or the end of a task: the id of the event that opened it. `id` is the item's own.",
      attempt:
        "Which attempt of the task this is of, from 1. If it is another than before, and `part` is 0, drop the parts that came before.",
      part: "Its number, from 0; of the end, how many parts there are.",
      end: "The last item of its task: `done`, `failed` with `error`, or `cancelled`. `data` is null.",
      journey: "The steps so far, for connections that ask for them with `journey=true`.",
    },
    { error: Schema.optionalKey(failure()), journey: Schema.optionalKey(Schema.Array(journeyStep())) },
  )

const clientFrames = () => [
  described(EventFrame, "EventFrame", "Something for a handler to do.", {
    id: "Names the event, for life: the handler's idempotency key. Without one the gateway makes one.",
    name: "Which handler.",
    data: "The handler's input. Arrays and objects lie at most 128 levels deep; numbers are such that a double holds them.",
  }),
  described(CancelFrame, "CancelFrame", "Ends the client's latest open task whose event has this id.", {
    id: "The id of the event. If its task has ended, or there is none, that is no error.",
  }),
  described(AckFrame, "AckFrame", "Everything up to `seq` is the client's own now, and will not come again.", {
    seq: "Cumulative.",
  }),
  described(PingFrame, "PingFrame", "Returned as `pong`.", {}),
  described(
    AuthFrame,
    "AuthFrame",
    "Shows who the client is, where there are locks: as the first frame if nothing else did, or a new token of the same subject.",
    { token: "Of an issuer that the gateway knows." },
  ),
]

const serverFrames = () => [
  described(Welcome, "Welcome", "The first frame of a session.", {
    epoch: "Which connection of this client; it only grows.",
    log: "The incarnation of the log. Remember it beside the last seq, and give both when coming back (`log`, `after`).",
    after: "Where this session starts: everything up to here counts as received.",
    limits:
      "Bounds of this gateway: bytes of a frame, results on the way, frames per second, ms of silence, records of the partition in which an id is recognised.",
  }),
  described(Accepted, "Accepted", "The log has these events: they will have results.", {}),
  described(
    Cancelling,
    "Cancelling",
    "The log has these cancels. The end of a task that was open follows; otherwise nothing does.",
    {},
  ),
  described(Refused, "Refused", "This event was not taken, and sending it again as it is will not help.", {
    code: "A code of docs/errors.md.",
    capability: "With `FORBIDDEN`: the one that is missing.",
  }),
  described(
    Results,
    "Results",
    "Results and messages, in the order of `seq`.",
    {},
    { items: Schema.Array(resultItem()) },
  ),
  described(StatusFrame, "StatusFrame", "The client's status has changed.", {
    status: "REPLAYING while older results are read from the mailbox, LIVE once there are none.",
  }),
  described(Lost, "Lost", "Retention removed results before the client had them.", {
    after: "Everything up to here is not affected.",
    upTo: "The last that was removed. Absent: the range is not known.",
  }),
  described(ErrorFrame, "ErrorFrame", "Something was wrong. The connection goes on unless a close follows.", {
    code: "A code of docs/errors.md.",
  }),
  described(
    Expiring,
    "Expiring",
    "The token ends soon: send another one in `auth`, or the connection is closed then.",
    {
      seconds: "In how many.",
    },
  ),
  described(Authenticated, "Authenticated", "The token of the last `auth` counts from here on.", {
    seconds: "For how many. Absent: it does not end by itself.",
  }),
  described(Pong, "Pong", "The answer to `ping`.", {}),
]

const eitherSide = () => [
  Schema.Union(clientFrames()).annotate({ identifier: "ClientFrame", description: "From a client to a gateway." }),
  Schema.Union(serverFrames()).annotate({ identifier: "ServerFrame", description: "From a gateway to a client." }),
]

/** The document that gateways serve at `/v1/frames.schema.json`. Unknown properties are allowed, as decoders ignore them. */
export const framesJsonSchema = (): Readonly<Record<string, unknown>> => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Schema.Union(eitherSide()))
  return {
    $schema: JsonSchema.META_SCHEMA_URI_DRAFT_2020_12,
    title: `Frames of the WebSocket subprotocol ${subprotocol}`,
    description: "Each WebSocket message is one frame, as JSON text. Lengths count UTF-16 code units.",
    ...schema,
    $defs: definitions,
  }
}
