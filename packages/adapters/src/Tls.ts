/** Connections by TLS, whatever the service: who is trusted, is what Node trusts, with `NODE_EXTRA_CA_CERTS`. */
import { Predicate } from "effect"

/** Node's codes for a certificate that is not trusted, and OpenSSL's for two that don't understand each other. */
export const isTlsError = (cause: unknown): boolean =>
  Predicate.hasProperty(cause, "code") &&
  typeof cause.code === "string" &&
  /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/.test(cause.code)
