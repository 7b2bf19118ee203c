/**
 * How the subject of a token names a client, and a client its subject.
 *
 * | subject | client id |
 * | --- | --- |
 * | `alice@example.com` | `alice@example.com` |
 * | `auth0\|123` | `sub.auth0:7C123` |
 * | `alice`, of the issuer that is named `partners` | `at.partners.alice` |
 * | a device `phone` of `alice` | `alice::phone` |
 *
 * 1. No two subjects have one client id, of whichever issuers, and none has that of a device.
 * 2. `subjectOf` gives the subject back.
 *
 * A subject that is plain and begins with none of the two marks is its own client id. In any other one each byte that is
 * not plain is written as `:` and two hexadecimal digits, so that `::` stands in the id of a device alone.
 */
import { Result } from "effect"
import { isClientId } from "../protocol/Guards.ts"
import type { ClientId } from "../protocol/Ids.ts"

/** Who it is, by whom. */
export interface Subject {
  /** The name that the configuration gives to an issuer beside the first. */
  readonly issuer: string | undefined
  readonly name: string
}

/** Names of issuers beside the first: 1 to 32 of `a-z0-9-`. */
export const isIssuerName = (name: string): boolean => /^[a-z0-9-]{1,32}$/.test(name)

const isPlain = (name: string): boolean => /^(?!sub\.|at\.)[A-Za-z0-9._@-]+$/.test(name)

/** Separates a subject's client id from the name of its device. */
export const deviceMark = "::"

/** The client id of a subject; of one that would need more than 128 characters, or is no well-formed text, what is wrong. */
export const clientIdOf = ({ issuer, name }: Subject): Result.Result<ClientId, string> => {
  if (!name.isWellFormed()) return Result.fail("the subject has half of a surrogate pair in it")
  if (name === "") return Result.fail("the subject is empty")
  const id = issuer !== undefined ? `at.${issuer}.${escape(name)}` : isPlain(name) ? name : `sub.${escape(name)}`
  return isClientId(id)
    ? Result.succeed(id)
    : Result.fail("the subject is too long: its client id has at most 128 characters")
}

/** The subject that a client id names, with its device if it has one. `undefined`: it is that of no subject. */
export const subjectOf = (id: ClientId): (Subject & { readonly device: string | undefined }) | undefined => {
  const at = id.indexOf(deviceMark)
  const device = at < 0 ? undefined : id.slice(at + deviceMark.length)
  const own = at < 0 ? id : id.slice(0, at)
  const [, mark, issuer, rest] = /^(?:(sub)|at\.([a-z0-9-]{1,32}))\.(.*)$/s.exec(own) ?? []
  const subject =
    mark === undefined && issuer === undefined
      ? { issuer: undefined, name: own }
      : { issuer, name: unescape(rest ?? "") ?? "" }
  const canonical = clientIdOf(subject)
  return Result.isSuccess(canonical) && canonical.success === own && device !== "" ? { ...subject, device } : undefined
}

/** The client id of a subject's device. `undefined`: it is too long, or `device` has characters that no client id has. */
export const deviceIdOf = (subject: ClientId, device: string): ClientId | undefined => {
  const id = `${subject}${deviceMark}${device}`
  return device !== "" && isClientId(id) ? id : undefined
}

const escape = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9._@-]/gu, (character) =>
    [...encoder.encode(character)].map((byte) => `:${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  )

const unescape = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text.replaceAll(":", "%"))
  } catch {
    return undefined
  }
}

const encoder = new TextEncoder()
