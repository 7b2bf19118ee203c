/**
 * The middleware of the admin API that lets in: who asks, and whether it has the role that the endpoint asks for
 * (`RoleNeeded`). It decides before the operation begins. What is refused is counted by its code, and what was done is
 * told to `Audit`, with what was asked for and never with a token.
 */
import {
  AdminAuthorization,
  LoginUnavailable,
  RoleMissing,
  RoleNeeded,
  TooManyLogins,
  Unauthorized,
} from "@nimbus/domain/admin"
import { Context, Effect, Exit, Layer, Option, Predicate, Schema } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { Access } from "../access/Access.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { type NotAllowed, type Operator, Operators } from "./Operators.ts"

/** Who asks, for the operation that it was let into. */
const CurrentOperator = Context.Reference<Option.Option<Operator>>("@nimbus/gateway/CurrentOperator", {
  defaultValue: () => Option.none(),
})

const respond = HttpServerResponse.schemaJson(
  Schema.Union([Unauthorized, RoleMissing, TooManyLogins, LoginUnavailable]),
)

const answers = {
  Unauthorized: { status: 401, headers: { "www-authenticate": "Bearer" } },
  RoleMissing: { status: 403, headers: {} },
  TooManyLogins: { status: 429, headers: {} },
  LoginUnavailable: { status: 503, headers: { "retry-after": "1" } },
} as const satisfies Record<NotAllowed["_tag"], object>

/** Lets in whom `Operators` knows, with the role. */
export const layer = Layer.effect(
  AdminAuthorization,
  Effect.gen(function* () {
    const operators = yield* Operators
    const locks = yield* Access
    const { counts } = yield* Delivery
    return {
      bearer: (operation, { credential, endpoint }) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const operator = yield* operators.identify(credential, request, "admin")
          const capability = `admin:${Context.get(endpoint.annotations, RoleNeeded)}` as const
          yield* Effect.mapError(
            locks.check(operator.principal, operator.from, capability),
            ({ code, message }) => new RoleMissing({ code, capability, message }),
          )
          return operator
        }).pipe(
          Effect.matchEffect({
            onSuccess: (operator) => Effect.provideService(operation, CurrentOperator, Option.some(operator)),
            onFailure: (error) => {
              counts.addTo("refused", error.code)
              return Effect.orDie(respond(error, answers[error._tag]))
            },
          }),
        ),
    }
  }),
)

const detail_chars = 200

/** For operations that do something: told, with what they were asked for, once it is known what came of it. */
export const telling = Effect.map(
  Operators,
  ({ record }) =>
    <I, A, E, R>(name: string, act: (input: I) => Effect.Effect<A, E, R>) =>
    (input: I): Effect.Effect<A, E, R> =>
      Effect.flatMap(CurrentOperator, (operator) =>
        Option.isNone(operator)
          ? act(input)
          : Effect.onExit(act(input), (exit) =>
              Effect.sync(() =>
                record(operator.value, { action: "admin", outcome: outcomeOf(exit), detail: detailOf(name, input) }),
              ),
            ),
      ),
)

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "OK"
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return Predicate.hasProperty(error, "code") ? String(error.code) : "failed"
}

const detailOf = (name: string, input: unknown): string => {
  const { params, payload } = Object(input)
  return `${name} ${JSON.stringify({ ...params, ...payload })}`.slice(0, detail_chars)
}
