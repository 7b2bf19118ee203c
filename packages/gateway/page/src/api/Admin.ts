/** The admin API of the gateway that served this page: the client that is derived from its description. */
import { AdminApi, AdminAuthorization } from "@nimbus/domain/admin"
import { Context, Effect, Layer, ManagedRuntime, type Result } from "effect"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { FetchHttpClient, HttpClientRequest } from "effect/http"
import { refused, token } from "./token.ts"

const authorization = HttpApiMiddleware.layerClient(AdminAuthorization, ({ next, request }) =>
  next(token.value === undefined ? request : HttpClientRequest.bearerToken(request, token.value)),
)

const make = HttpApiClient.make(AdminApi, { baseUrl: location.origin })

export class Admin extends Context.Service<Admin, Effect.Success<typeof make>["admin"]>()("@nimbus/page/Admin") {
  static readonly layer = Layer.effect(
    Admin,
    Effect.map(make, ({ admin }) => admin),
  ).pipe(Layer.provide([authorization, FetchHttpClient.layer]))
}

export const runtime = ManagedRuntime.make(Admin.layer)

interface Failure {
  readonly _tag: string
  readonly code?: string | undefined
  readonly message: string
}

/** Asks the admin API once. What failed is told in words; a missing token shows the login. */
export const ask = <A, E extends Failure>(
  question: (admin: Admin["Service"]) => Effect.Effect<A, E>,
): Promise<Result.Result<A, string>> =>
  runtime.runPromise(
    Admin.pipe(
      Effect.flatMap(question),
      Effect.tapError((error) => Effect.sync(() => noteRefusal(error))),
      Effect.mapError(wordsOf),
      Effect.result,
    ),
  )

export const noteRefusal = ({ _tag, code, message }: Failure): void => {
  if (_tag === "TooManyLogins") refused(message)
  if (_tag !== "Unauthorized") return
  refused(code === "TOKEN_EXPIRED" ? "Your sign-in has ended." : "The token was refused.")
}

export const wordsOf = ({ _tag, message }: Failure): string =>
  _tag === "HttpClientError" ? `The gateway does not answer: ${message}` : message
