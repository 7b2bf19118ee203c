/**
 * The middleware of the admin API that lets in: who asks, and whether it has the role that the endpoint asks for
 * (`RoleNeeded`). It decides before the operation begins. What is refused is counted by its code, and what was done is
 * told to `Audit`, with what was asked for and never with a token.
 */
import type { AdminRole } from "@nimbus/domain/access"
import {
  AdminAuthorization,
  LoginUnavailable,
  RoleMissing,
  RoleNeeded,
  TooManyLogins,
  Unauthorized,
} from "@nimbus/domain/admin"
import { Context, Deferred, Effect, Exit, Layer, Option, Predicate, Redacted, Result, Schema, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { Access } from "../access/Access.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { bearerOf, type NotAllowed, type Operator, Operators } from "./Operators.ts"

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

/** Who asks, if it has this role. */
const admitted = Effect.fnUntraced(function* (credential: Redacted.Redacted, role: AdminRole, transport: string) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const operator = yield* (yield* Operators).identify(credential, request, transport)
  const capability = `admin:${role}` as const
  yield* Effect.mapError(
    (yield* Access).check(operator.principal, operator.from, capability),
    ({ code, message }) => new RoleMissing({ code, capability, message }),
  )
  return operator
})

const refuse = Effect.fnUntraced(function* (error: NotAllowed) {
  const { counts } = yield* Delivery
  counts.addTo("refused", error.code)
  return yield* Effect.orDie(respond(error, headOf(error)))
})

/** The same for a route beside the admin API, which this role may ask. `transport`: as the audit has it. */
export const asking = <E, R>(
  role: AdminRole,
  transport: string,
  answer: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
) =>
  Effect.gen(function* () {
    const credential = Redacted.make(bearerOf(yield* HttpServerRequest.HttpServerRequest))
    const operator = yield* Effect.result(admitted(credential, role, transport))
    return yield* Result.isSuccess(operator) ? answer : refuse(operator.failure)
  })

/** Lets in whom `Operators` knows, with the role. */
export const layer = Layer.effect(
  AdminAuthorization,
  Effect.map(Effect.context<Operators | Access | Delivery>(), (services): AdminAuthorization["Service"] => ({
    bearer: (operation, { credential, endpoint }) =>
      admitted(credential, Context.get(endpoint.annotations, RoleNeeded), "admin").pipe(
        Effect.matchEffect({
          onSuccess: (operator) => Effect.provideService(operation, CurrentOperator, Option.some(operator)),
          onFailure: refuse,
        }),
        Effect.provideContext(services),
      ),
  })),
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
    <I, A, E, R>(name: string, act: (input: I) => Effect.Effect<A, E, R>, action: "admin" | "revoke" = "admin") =>
    (input: I): Effect.Effect<A, E, R> =>
      Effect.flatMap(CurrentOperator, (operator) =>
        Option.isNone(operator)
          ? act(input)
          : Effect.onExit(act(input), (exit) =>
              Effect.sync(() =>
                record(operator.value, { action, outcome: outcomeOf(exit), detail: detailOf(name, input) }),
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
