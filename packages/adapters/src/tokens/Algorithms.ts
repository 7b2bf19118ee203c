/**
 * Which signatures count, by the key that checks them. What a token's header says only chooses among what its issuer's keys
 * are for:
 *
 * | key | signatures |
 * | --- | --- |
 * | RSA, at least 2,048 bits | RS256, RS384, RS512, PS256, PS384, PS512 |
 * | EC, by its curve | ES256, ES384, ES512 |
 * | Ed25519 | EdDSA, Ed25519 |
 * | the secret of an issuer that has one, and no other key | HS256, HS384, HS512 |
 *
 * So `none` is none of them, and no token is checked by a public key as if that were a secret.
 */
import type { JWK } from "jose"

const rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
const byCurve: Readonly<Record<string, ReadonlyArray<string>>> = {
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  "P-521": ["ES512"],
  Ed25519: ["EdDSA", "Ed25519"],
}

/** Of a shared secret. */
export const secretAlgorithms: ReadonlyArray<string> = ["HS256", "HS384", "HS512"]

/** Of public keys. */
export const publicAlgorithms: ReadonlyArray<string> = [...rsa, ...Object.values(byCurve).flat()]

/** What a public key can check. Nothing: it is none, or a secret, or for encryption. */
export const algorithmsOf = ({ alg, crv, key_ops, kty, use }: JWK): ReadonlyArray<string> => {
  if (use !== undefined && use !== "sig") return []
  if (key_ops !== undefined && !key_ops.includes("verify")) return []
  const able = kty === "RSA" ? rsa : kty === "EC" || kty === "OKP" ? (byCurve[crv ?? ""] ?? []) : []
  return alg === undefined ? able : able.filter((one) => one === alg)
}
