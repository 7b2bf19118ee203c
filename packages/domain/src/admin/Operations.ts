/**
 * What operators may ask and do, behind the admin API and the `nimbus` command alike. Its methods are the operations that
 * `AdminApi` declares; `@nimbus/gateway` has an implementation on the services of a process, and the command another one,
 * which asks a server.
 *
 * Contract: every answer is bounded by `adminLimits`, and says where there was more. What only reads may be asked at any
 * time. `kick` and `drain` go through pod channels, which may lose them: asking again is safe. `replay` and `retry`
 * publish new events: asking again publishes them again. `cancel` goes through the log, and too late is no failure.
 */
import { Context, type Effect } from "effect"
import type { HttpApiEndpoint } from "effect/http-api"
import type { Operation } from "./Api.ts"
import type {
  AdminUnavailable,
  BadRequest,
  LoginUnavailable,
  ReadsBusy,
  RoleMissing,
  TooManyLogins,
  Unauthorized,
} from "./Errors.ts"

/** A service that is away; and where another process is asked, what that says of the asking itself, and that it is busy. */
export type AskError =
  | AdminUnavailable
  | BadRequest
  | ReadsBusy
  | Unauthorized
  | RoleMissing
  | TooManyLogins
  | LoginUnavailable

type Part<Name extends string, A> = [A] extends [never] ? unknown : { readonly [_ in Name]: A }

/** Its input, in the parts that the declaration has: `params`, `query` and `payload`. */
type Input<O extends HttpApiEndpoint.ConstraintRequest> = Part<"params", O["~Params"]["Type"]> &
  Part<"query", O["~Query"]["Type"]> &
  Part<"payload", O["~Payload"]["Type"]>

type Answer<O extends HttpApiEndpoint.ConstraintRequest> = Effect.Effect<
  O["~Success"]["Type"],
  O["~Error"]["Type"] | AskError
>

type Method<O extends HttpApiEndpoint.ConstraintRequest> =
  unknown extends Input<O> ? () => Answer<O> : (input: Input<O>) => Answer<O>

/** The operations by their names. */
export type OperationsShape = { readonly [O in Operation as O["identifier"]]: Method<O> }

/** The input of the operation of this name. */
export type OperationInput<Name extends keyof OperationsShape> = Parameters<OperationsShape[Name]>[0]

/** What operators may ask and do, by the names of the declared operations. */
export class Operations extends Context.Service<Operations, OperationsShape>()("@nimbus/domain/Operations") {}
