/**
 * `POST /v1/clients/:clientId/messages`: one message for a client, or an array of them. Answered once the log has them,
 * with a receipt each.
 */
import { ClientPath, endpoints, MessagesBody, problems, Receipts } from "@nimbus/domain/http"
import { AddressedMessage, Publisher } from "@nimbus/domain/services"
import { Effect, Option, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse, HttpTraceContext } from "effect/http"
import * as RequestBody from "./RequestBody.ts"
import { refuse } from "./Refusal.ts"

const decode = Schema.decodeUnknownEffect(MessagesBody)
const respond = HttpServerResponse.schemaJson(Receipts)

const send = Effect.gen(function* () {
  const { clientId } = yield* HttpRouter.schemaPathParams(ClientPath)
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
    BadBatch: ({ reason }) => refuse(problems.badBatch, reason),
    BodyInvalid: ({ code, reason }) => refuse(code === "BAD_NUMBER" ? problems.badNumber : problems.badRequest, reason),
    SchemaError: ({ message }) => refuse(problems.badRequest, message),
    // The batch is in parts that the topic took when it was last looked at.
    LogRefused: ({ message, reason }) =>
      refuse(reason === "too-large" ? problems.tooLargeForLog : problems.logRefused, message),
    LogUnavailable: () => refuse(problems.logUnavailable, "the log is unavailable; send it again"),
    UnknownTopic: ({ topic }) => refuse(problems.unknownTopic, `there is no topic ${topic}`),
  }),
)

export const layer = HttpRouter.add(endpoints.sendMessages.method, endpoints.sendMessages.path, answer)
