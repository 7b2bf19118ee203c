/** What a client asks for in the URL of `/v1/stream`, checked by schema, so that a mistake gets a clear answer. */
import { ClientId, Cursor, Incarnation } from "@nimbus/domain"
import { Result, Schema } from "effect"

const Query = Schema.Struct({
  clientId: ClientId,
  /** The last seq the client has; -1 or absent: none. */
  after: Schema.optionalKey(Schema.FiniteFromString.pipe(Schema.decodeTo(Cursor))),
  /** The incarnation of the log that `after` belongs to, from an earlier `welcome`. */
  log: Schema.optionalKey(Incarnation),
  /** `client`: only the client's word counts. `auto`: a result counts as acknowledged with the pong to a later ping. */
  ack: Schema.optionalKey(Schema.Literals(["client", "auto"])),
  /** Whether each result comes with the steps of its journey so far. */
  journey: Schema.optionalKey(Schema.Literals(["true", "false"])),
})
export type Query = typeof Query.Type

const decode = Schema.decodeUnknownResult(Query)

/** Reads the query of a request's URL; the failure is a sentence for the client. */
export const parseQuery = (url: string): Result.Result<Query, string> => {
  const { searchParams } = new URL(url, "ws://gateway")
  return Result.mapError(decode(Object.fromEntries(searchParams)), (error) => error.message)
}
