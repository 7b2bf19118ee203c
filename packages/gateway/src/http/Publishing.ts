/**
 * `POST /v1/clients/:clientId/messages`: one message for a client, or an array of them.
 * `POST /v1/clients/:clientId/cancels`: one cancel of its tasks, or an array of them.
 *
 * With locks they need the capability `publish:<clientId>`, or the role of a publisher.
 *
 * Both are answered once the log has them, with a receipt each.
 */
import { capabilityOf } from "@nimbus/domain/access"
import { CancelsBody, ClientPath, endpoints, MessagesBody, problems, Receipts } from "@nimbus/domain/http"
import type { BadBatch, PublishError } from "@nimbus/domain/errors"
import type { ClientId } from "@nimbus/domain/protocol"
import { AddressedMessage, Publisher, type Receipt } from "@nimbus/domain/services"
import { Effect, Layer, Option, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse, HttpTraceContext } from "effect/http"
import { Access } from "../access/Access.ts"
import { type Bulk, Subjects } from "../subjects/Subjects.ts"
import { admittedWithOperators, refusalsWithOperators, subjectRefused, type Visitor } from "./Doorkeeper.ts"
import * as RequestBody from "./RequestBody.ts"
import { refuse } from "./Refusal.ts"

type Publishing = Effect.Effect<ReadonlyArray<Receipt>, BadBatch | PublishError>

const respond = HttpServerResponse.schemaJson(Receipts)

/** `publish` puts what the body says into the log. */
const answerWith = <A, I>(
  schema: Schema.Codec<A, I>,
  publish: (publisher: Publisher["Service"], clientId: ClientId, body: A) => Publishing,
  what: "messages" | "cancels",
) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return Effect.gen(function* () {
    const { clientId } = yield* HttpRouter.schemaPathParams(ClientPath)
    const publisher = yield* admittedWithOperators((access, { from, principal }) =>
      principal.grants.may("admin:publisher") ? Effect.void : access.checkOf(principal, from, "publish", clientId),
    )
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = yield* decode(yield* RequestBody.json)
    const published = yield* shared(
      publisher,
      { clientId, isMail: what === "messages" },
      body,
      publish(yield* Publisher, clientId, body),
    )
    const caller = HttpTraceContext.w3c(request.headers)
    const receipts = yield* Option.isSome(caller) ? Effect.withParentSpan(published, caller.value) : published
    if (publisher !== undefined) {
      const { from, principal } = publisher
      const { tell } = yield* Access
      tell(principal, from, "publish", "OK", `${what} ${receipts.length} ${capabilityOf("publish", clientId)}`)
    }
    return yield* respond({ receipts })
  }).pipe(
    Effect.catchTags({
      ...refusalsWithOperators,
      SubjectRefused: subjectRefused,
      BadBatch: ({ reason }) => refuse(problems.badBatch, reason),
      BodyInvalid: ({ code, reason }) =>
        refuse(code === "BAD_NUMBER" ? problems.badNumber : problems.badRequest, reason),
      SchemaError: ({ message }) => refuse(problems.badRequest, message),
      // The batch is in parts that the topic took when it was last looked at.
      LogRefused: ({ message, reason }) =>
        refuse(reason === "too-large" ? problems.tooLargeForLog : problems.logRefused, message),
      LogUnavailable: () => refuse(problems.logUnavailable, "the log is unavailable; send it again"),
      UnknownTopic: ({ topic }) => refuse(problems.unknownTopic, `there is no topic ${topic}`),
    }),
  )
}

/** A server of the installation has no share: what it sends is the installation's. */
const shared = Effect.fnUntraced(function* (
  publisher: Visitor | undefined,
  to: Pick<Bulk, "clientId" | "isMail">,
  body: unknown,
  published: Publishing,
) {
  if (publisher === undefined || publisher.principal.grants.may("admin:publisher")) return published
  const { from, principal } = publisher
  const messages = Array.isArray(body) ? body.length : 1
  const bulk = { ...to, messages, bytes: Buffer.byteLength(JSON.stringify(body)) }
  return (yield* Subjects).send(principal, bulk, from, published)
})

const send = answerWith(
  MessagesBody,
  (publisher, clientId, body) => {
    const messages = "name" in body ? [body] : body
    return publisher.sendAll(messages.map((message) => AddressedMessage.make({ clientId, ...message })))
  },
  "messages",
)

const cancel = answerWith(
  CancelsBody,
  (publisher, clientId, body) => {
    const cancels = "id" in body ? [body] : body
    return publisher.cancelAll(
      clientId,
      cancels.map(({ id }) => id),
    )
  },
  "cancels",
)

export const layer = Layer.mergeAll(
  HttpRouter.add(endpoints.sendMessages.method, endpoints.sendMessages.path, send),
  HttpRouter.add(endpoints.cancelTasks.method, endpoints.cancelTasks.path, cancel),
)
