/** What a client asks for in the URL of a WebSocket, checked by schema, so that a mistake gets a clear answer. */
import { StreamQuery } from "@nimbus/domain/http"
import type { ClientId } from "@nimbus/domain/protocol"
import { Result, Schema } from "effect"

export type Asked = typeof StreamQuery.Type

/** The same, once it is known who it is. */
export type Query = Asked & { readonly clientId: ClientId }

const decode = Schema.decodeUnknownResult(StreamQuery)
const names = Object.keys(StreamQuery.fields)

/** Why a request gets no session. */
export interface BadQuery {
  /** A sentence for the client. */
  readonly message: string
  /** It does not say who it is. */
  readonly isNameless: boolean
}

/** As NimbusWS says it. */
const nameless = "clientId is missing. Use '<url>?clientId=<your-client-id>'"

/**
 * Reads the query of a request's URL. Parameters that this version does not know are passed over: a newer client, or a
 * proxy, may bring some. One that it knows stands there once. `isOpen`: there are no locks, which would tell who it is.
 */
export const parseQuery = (url: string, isOpen: boolean): Result.Result<Asked, BadQuery> => {
  const { searchParams } = new URL(url, "ws://gateway")
  if (isOpen && !searchParams.has("clientId")) return Result.fail({ message: nameless, isNameless: true })
  const wrong = (message: string) => ({ message, isNameless: false })
  const repeated = names.find((name) => searchParams.getAll(name).length > 1)
  if (repeated !== undefined) return Result.fail(wrong(`${repeated} is given more than once`))
  return Result.mapError(decode(Object.fromEntries(searchParams)), ({ message }) => wrong(message))
}
