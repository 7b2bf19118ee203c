/** What a client asks for in the metadata of its call, checked by schema, so that a mistake gets a clear answer. */
import type { IncomingHttpHeaders } from "node:http2"
import { fromDigits } from "@nimbus/domain/json"
import { ClientId, Cursor, Incarnation } from "@nimbus/domain/protocol"
import { Result, Schema } from "effect"
import { Timeout } from "./Deadline.ts"

const Flag = Schema.Literals(["true", "false"])

const Metadata = Schema.Struct({
  /** Where there are locks it may be left out: the client that the token names. */
  client_id: Schema.optionalKey(ClientId),
  /** The last seq the client has; -1 or absent: none. */
  after: Schema.optionalKey(fromDigits(Cursor)),
  /** The incarnation of the log that `after` belongs to, from an earlier `welcome`. */
  log: Schema.optionalKey(Incarnation),
  /** `client`: only the client's word counts. `auto`: until its first ack, what its transport says counts. */
  ack: Schema.optionalKey(Schema.Literals(["client", "auto"])),
  /** Whether each result comes with the steps of its journey so far. */
  journey: Schema.optionalKey(Flag),
  /** Whether responses come that are no results: `welcome`, `status`, `accepted`. Old clients would not expect them. */
  notices: Schema.optionalKey(Flag),
  /** How long the call may take. */
  "grpc-timeout": Schema.optionalKey(Timeout),
})
export type Metadata = typeof Metadata.Type

const decode = Schema.decodeUnknownResult(Metadata)
const decodeNamed = Schema.decodeUnknownResult(Schema.Struct({ ...Metadata.fields, client_id: ClientId }))

/**
 * Reads the headers of a call; the failure is a sentence for the client. `isNamed`: its client id must be among them. What
 * shows who it is is not, so that no sentence has it.
 */
export const parseMetadata = (headers: IncomingHttpHeaders, isNamed: boolean): Result.Result<Metadata, string> =>
  Result.mapError((isNamed ? decodeNamed : decode)(headers), (error) => error.message)
