/**
 * `POST /v1/clients/:clientId/messages`: one message for a client, or an array of them. Answered once the log has them,
 * with a receipt each.
 */
import { ClientId, EventId, Seq } from "@nimbus/domain/protocol"
import { AddressedMessage, Message, Publisher } from "@nimbus/domain/services"
import { Effect, Option, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse, HttpTraceContext } from "effect/http"
import * as RequestBody from "./RequestBody.ts"
import { refuse } from "./Refusal.ts"

const Params = Schema.Struct({ clientId: ClientId })
const Body = Schema.Union([Message, Schema.Array(Message)])
const decode = Schema.decodeUnknownEffect(Body)
const Receipts = Schema.Struct({ receipts: Schema.Array(Schema.Struct({ id: EventId, seq: Seq })) })
const respond = HttpServerResponse.schemaJson(Receipts)

const send = Effect.gen(function* () {
  const { clientId } = yield* HttpRouter.schemaPathParams(Params)
  const request = yield* HttpServerRequest.HttpServerRequest
  const body = yield* decode(yield* RequestBody.json)
  const messages = "name" in body ? [body] : body
  const batch = messages.map((message) => AddressedMessage.make({ clientId, ...message }))
  const sent = (yield* Publisher).sendAll(batch)
  const caller = HttpTraceContext.w3c(request.headers)
  return yield* respond({ receipts: yield* Option.isSome(caller) ? Effect.withParentSpan(sent, caller.value) : sent })
})

const answer = send.pipe(
  Effect.catchTags({
    BadBatch: ({ code, reason }) => refuse(400, code, reason),
    BodyInvalid: ({ code, reason }) => refuse(400, code, reason),
    SchemaError: ({ message }) => refuse(400, "BAD_REQUEST", message),
    // The batch is in parts that the topic took when it was last looked at.
    LogRefused: ({ code, message, reason }) => refuse(reason === "too-large" ? 413 : 500, code, message),
    LogUnavailable: ({ code }) => refuse(503, code, "the log is away; send it again"),
    UnknownTopic: ({ code, topic }) => refuse(500, code, `there is no topic ${topic}`),
  }),
)

export const layer = HttpRouter.add("POST", "/v1/clients/:clientId/messages", answer)
