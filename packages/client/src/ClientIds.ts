/** The client ids of those who have tokens. */
import { Subject } from "@nimbus/domain/access"
import * as Result from "effect/Result"
import { BadRequest } from "./Errors.ts"

/** Whose client it is, where that is not the subject alone. */
export interface ClientIdOptions {
  /** The name that the gateway has for the issuer, if it is not the first one. */
  readonly issuer?: string | undefined
  /** One of several devices of the subject, each a client of its own: `{sub}/*` allows them. */
  readonly device?: string | undefined
}

/**
 * The client id that the subject of a token may connect as: itself, or for one such as `auth0|123` what a gateway makes of it.
 * Throws `BadRequest` where there is none: it would be longer than 128 characters, or the device has characters that no client
 * id has.
 */
export const clientIdOf = (subject: string, { device, issuer }: ClientIdOptions = {}): string => {
  const own = Subject.clientIdOf({ issuer, name: subject })
  if (Result.isFailure(own)) throw new BadRequest({ reason: own.failure })
  if (device === undefined) return own.success
  const id = Subject.deviceIdOf(own.success, device)
  if (id === undefined)
    throw new BadRequest({ reason: "the device has characters that no client id has, or is too long" })
  return id
}
