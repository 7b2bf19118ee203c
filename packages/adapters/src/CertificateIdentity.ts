/**
 * Who a client's certificate is of, which the TLS layer has verified: its first name as a URI, or else as a mail address, or
 * else as a host.
 *
 * Certificates are an issuer of their own. So the client of `spiffe://acme/device/7` is
 * `at.certificate.spiffe:3A:2F:2Facme:2Fdevice:2F7`, whatever other issuers there are, and rules with the issuer `certificate`
 * say what it may do.
 */
import type { Principal } from "@nimbus/domain/access"
import type { PeerCertificate } from "@nimbus/domain/services"
import { Result } from "effect"
import { type IdentityOptions, principalOf } from "./Identity.ts"

/** The name of the issuer of all certificates. */
export const certificateIssuer = "certificate"

const kinds = ["URI:", "email:", "DNS:"]

/** Who it is, or why it is nobody. */
export const holderOf = (
  { expires_s, names, serial }: PeerCertificate,
  identity: IdentityOptions,
): Result.Result<Principal, string> => {
  const found = kinds.flatMap((kind) =>
    names.filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length)),
  )
  const [subject] = found
  if (subject === undefined) return Result.fail("it has no name of a URI, a mail address or a host")
  const proof = { issuer: certificateIssuer, issuerName: certificateIssuer, subject, expires_s, tokenId: serial }
  return principalOf({ ...proof, claims: { sub: subject, names, serial } }, identity)
}
