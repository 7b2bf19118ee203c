/**
 * `POST /v1/clients/:clientId/messages`: one message for a client, or an array of them. Answered once the log has them,
 * with a receipt each.
 */
import {
  AddressedMessage,
  ClientId,
  EventId,
  isNestedTooDeeply,
  Message,
  nestingMessage,
  Publisher,
  Seq,
} from "@nimbus/domain"
import { Effect, Option, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse, HttpTraceContext } from "effect/http"
import { Delivery } from "../delivery/Delivery.ts"

const Params = Schema.Struct({ clientId: ClientId })
const Body = Schema.Union([Message, Schema.Array(Message)])
const decode = Schema.decodeUnknownEffect(Body)
const Receipts = Schema.Struct({ receipts: Schema.Array(Schema.Struct({ id: EventId, seq: Seq })) })
const Problem = Schema.Struct({ code: Schema.String, message: Schema.String })

const respond = HttpServerResponse.schemaJson(Receipts)
const respondProblem = HttpServerResponse.schemaJson(Problem)

/** What is wrong is told to the sender, with the code of its row in docs/errors.md. */
const refuse = Effect.fnUntraced(function* (status: number, code: string, message: string) {
  const { counts } = yield* Delivery
  counts.addTo("refused", code)
  return yield* respondProblem({ code, message }, { status })
})

const send = Effect.gen(function* () {
  const { clientId } = yield* HttpRouter.schemaPathParams(Params)
  const request = yield* HttpServerRequest.HttpServerRequest
  const json = yield* request.json
  if (isNestedTooDeeply(json)) return yield* refuse(400, "BAD_REQUEST", nestingMessage)
  const body = yield* decode(json)
  const messages = "name" in body ? [body] : body
  const batch = messages.map((message) => AddressedMessage.make({ clientId, ...message }))
  const sent = (yield* Publisher).sendAll(batch)
  const caller = HttpTraceContext.w3c(request.headers)
  return yield* respond({ receipts: yield* Option.isSome(caller) ? Effect.withParentSpan(sent, caller.value) : sent })
})

export const layer = HttpRouter.add(
  "POST",
  "/v1/clients/:clientId/messages",
  send.pipe(
    Effect.catchTags({
      BadBatch: ({ code, reason }) => refuse(400, code, reason),
      SchemaError: ({ message }) => refuse(400, "BAD_REQUEST", message),
      HttpServerError: ({ message }) => refuse(400, "BAD_REQUEST", message),
      LogUnavailable: ({ code }) => refuse(503, code, "the log is away; send it again"),
      UnknownTopic: ({ code, topic }) => refuse(500, code, `there is no topic ${topic}`),
    }),
  ),
)
