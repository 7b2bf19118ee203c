/** TLS connections to any service. They trust the certificates that Node trusts, with `NODE_EXTRA_CA_CERTS`. */
import { Predicate } from "effect"

/** The codes of Node for a certificate that is not trusted, and of OpenSSL for peers without a common protocol. */
export const isTlsError = (cause: unknown): boolean =>
  Predicate.hasProperty(cause, "code") &&
  typeof cause.code === "string" &&
  /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/.test(cause.code)
