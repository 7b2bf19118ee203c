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
import { Context, Deferred, Effect, Exit, Layer, Option, Predicate, Schema, Stream } from "effect"
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

/** The head of an answer. */
const headOf = (error: NotAllowed) => {
  switch (error._tag) {
    case "Unauthorized":
      return { status: 401, headers: { "www-authenticate": "Bearer" } }
    case "RoleMissing":
      return { status: 403, headers: {} }
    case "TooManyLogins":
      return { status: 429, headers: { "retry-after": String(Math.ceil(error.retry_ms / 1000)) } }
    case "LoginUnavailable":
      return { status: 503, headers: { "retry-after": "1" } }
  }
}

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
              return Effect.orDie(respond(error, headOf(error)))
            },
          }),
        ),
    }
  }),
)

/** What is watched lasts as long as what its operator has shown counts: until the token ends, or is revoked. */
export const lasting = Effect.map(
  Access,
  ({ hold }) =>
    <A, E, R>(watched: Stream.Stream<A, E, R>): Effect.Effect<Stream.Stream<A, E, R>> =>
      Effect.map(CurrentOperator, (operator) =>
        Option.isNone(operator)
          ? watched
          : Stream.unwrap(
              Effect.gen(function* () {
                const over = yield* Deferred.make<void>()
                const ended = () => Deferred.doneUnsafe(over, Effect.void)
                yield* Effect.acquireRelease(
                  Effect.sync(() => hold(operator.value.principal, { expiring: () => {}, ended })),
                  (lease) => Effect.sync(() => lease.release()),
                )
                return Stream.interruptWhen(watched, Deferred.await(over))
              }),
            ),
      ),
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
