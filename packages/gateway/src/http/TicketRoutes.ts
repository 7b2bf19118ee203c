/**
 * `POST /v1/tickets`: a ticket for the token of this request, for a connection of which nothing but the URL can say who it
 * is. It counts once, and for a short time. Where there are no locks there are no tickets.
 */
import { endpoints, problems, Ticket } from "@nimbus/domain/http"
import { Unauthenticated } from "@nimbus/domain/errors"
import { Tickets } from "@nimbus/domain/services"
import { Effect, Layer, Option } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Subjects } from "../subjects/Subjects.ts"
import { refusals, subjectRefused, visitor } from "./Doorkeeper.ts"
import { refuse } from "./Refusal.ts"

const respond = HttpServerResponse.schemaJson(Ticket)

/** A certificate is shown by each connection anew. */
const noToken = new Unauthenticated({ code: "TOKEN_MISSING", reason: "a ticket stands for a token, and none came" })

const issue = (tickets: Option.Option<Tickets["Service"]>) =>
  Effect.gen(function* () {
    const found = yield* visitor
    if (found === undefined || Option.isNone(tickets))
      return yield* refuse(problems.notFound, "there are no locks here")
    // One ticket is not to be had for another: each would make the last one count for longer.
    if (found.shown.token === undefined) return yield* noToken
    yield* (yield* Subjects).ticket(found.principal, found.from)
    return yield* respond({ ticket: yield* tickets.value.issue(found.shown.token) })
  }).pipe(
    Effect.catchTags({
      Unauthenticated: refusals.Unauthenticated,
      AuthUnavailable: refusals.AuthUnavailable,
      SubjectRefused: subjectRefused,
    }),
  )

export const layer = Layer.unwrap(
  Effect.map(Effect.serviceOption(Tickets), (tickets) =>
    HttpRouter.add(endpoints.issueTicket.method, endpoints.issueTicket.path, issue(tickets)),
  ),
)
