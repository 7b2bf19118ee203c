/**
 * What the TLS of a gateway stands on, in one directory, as a secret of Kubernetes has it: `tls.crt` (its certificate, and
 * those that lead to its authority), `tls.key`, and, where clients may show certificates, `ca.crt` (their authorities).
 */
import { createHash, X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { createSecureContext } from "node:tls"
import { Effect, Predicate } from "effect"
import { TlsUnusable } from "../Errors.ts"

/** The files, which belong together. */
export interface Material {
  readonly cert: Buffer
  readonly key: Buffer
  /** Authorities of clients. Undefined: none is asked for a certificate. */
  readonly ca: Buffer | undefined
  /** Of all three: another one is another material. */
  readonly digest: string
  /** When the certificate ends, in seconds since 1970. */
  readonly expires_s: number
}

/** Reads the files of a directory. Fails where one is missing, is none, or does not belong to the others. */
export const read = Effect.fnUntraced(function* (directory: string) {
  const file = (name: string, isOptional = false) =>
    Effect.tryPromise({
      try: () => readFile(join(directory, name)),
      catch: (error) => error,
    }).pipe(
      Effect.catchIf(
        (error) => isOptional && Predicate.hasProperty(error, "code") && error.code === "ENOENT",
        () => Effect.succeed(undefined),
      ),
      Effect.mapError((error) => new TlsUnusable({ directory, reason: `${name}: ${reasonOf(error)}` })),
    )
  const required = (name: string) =>
    Effect.flatMap(file(name), (bytes) =>
      bytes === undefined
        ? Effect.fail(new TlsUnusable({ directory, reason: `${name}: there is none` }))
        : Effect.succeed(bytes),
    )
  const cert = yield* required("tls.crt")
  const key = yield* required("tls.key")
  const ca = yield* file("ca.crt", true)
  return yield* Effect.try({
    try: () => materialOf(cert, key, ca),
    catch: (error) => new TlsUnusable({ directory, reason: reasonOf(error) }),
  })
})

const materialOf = (cert: Buffer, key: Buffer, ca: Buffer | undefined): Material => {
  const digest = createHash("sha256")
  for (const part of [cert, key, ca ?? Buffer.alloc(0)]) digest.update(`${part.length}:`).update(part)
  const expires_s = Math.floor(Date.parse(new X509Certificate(cert).validTo) / 1000)
  // An authority that is none would go unseen: no certificate would ever be verified by it.
  if (ca !== undefined) void new X509Certificate(ca)
  // It throws where the key is not that of the certificate.
  createSecureContext({ cert, key, ...(ca && { ca }) })
  return { cert, key, ca, digest: digest.digest("hex"), expires_s }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
