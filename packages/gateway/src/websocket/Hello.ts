/** What a client asks for in the URL of a WebSocket, checked by schema, so that a mistake gets a clear answer. */
import { fromDigits } from "@nimbus/domain/json"
import { ClientId, Cursor, Incarnation } from "@nimbus/domain/protocol"
import { Result, Schema } from "effect"

const Query = Schema.Struct({
  clientId: ClientId,
  /** The last seq the client has; -1 or absent: none. */
  after: Schema.optionalKey(fromDigits(Cursor)),
  /** The incarnation of the log that `after` belongs to, from an earlier `welcome`. */
  log: Schema.optionalKey(Incarnation),
  /** `client`: only the client's word counts. `auto`: the gateway finds out by pings what the client has read. */
  ack: Schema.optionalKey(Schema.Literals(["client", "auto"])),
  /** Whether each result comes with the steps of its journey so far. */
  journey: Schema.optionalKey(Schema.Literals(["true", "false"])),
  /** `all`: a client of NimbusWS wants the frames that only Nimbus has as well. */
  frames: Schema.optionalKey(Schema.Literal("all")),
})
export type Query = typeof Query.Type

const decode = Schema.decodeUnknownResult(Query)
const names = Object.keys(Query.fields)

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
 * proxy, may bring some. One that it knows stands there once.
 */
export const parseQuery = (url: string): Result.Result<Query, BadQuery> => {
  const { searchParams } = new URL(url, "ws://gateway")
  if (!searchParams.has("clientId")) return Result.fail({ message: nameless, isNameless: true })
  const wrong = (message: string) => ({ message, isNameless: false })
  const repeated = names.find((name) => searchParams.getAll(name).length > 1)
  if (repeated !== undefined) return Result.fail(wrong(`${repeated} is given more than once`))
  return Result.mapError(decode(Object.fromEntries(searchParams)), ({ message }) => wrong(message))
}
