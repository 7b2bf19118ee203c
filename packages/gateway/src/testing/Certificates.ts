/** Authorities that nobody trusts who is not told to, and what they sign. Needs openssl. */
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect, type Scope } from "effect"

/** A certificate with its key, as PEM. */
export interface Certificate {
  readonly cert: Buffer
  readonly key: Buffer
}

/** An authority that issues certificates. */
export interface Authority {
  /** Its own certificate. */
  readonly ca: Buffer
  /** Signs one with these names, as OpenSSL writes them: `DNS:localhost,IP:127.0.0.1`. */
  sign(names: string, days?: number): Effect.Effect<Certificate>
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

/** Makes one, for as long as the scope. */
export const authority: Effect.Effect<Authority, never, Scope.Scope> = Effect.gen(function* () {
  const directory = yield* temporary
  const at = (name: string) => join(directory, name)
  const openssl = (...args: ReadonlyArray<string>) =>
    Effect.promise(() => promisify(execFile)("openssl", [...args], { cwd: directory, timeout: 20_000 }))
  yield* openssl(
    "req",
    "-x509",
    ...newKey,
    "-days",
    "2",
    "-subj",
    "/CN=authority",
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
  )
  let made = 0
  return {
    ca: readFileSync(at("ca.crt")),
    sign: Effect.fnUntraced(function* (names, days = 1) {
      const name = `${made++}`
      writeFileSync(at(`${name}.ext`), `subjectAltName=${names}\n`)
      yield* openssl("req", ...newKey, "-subj", "/CN=it", "-keyout", `${name}.key`, "-out", `${name}.csr`)
      const signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", `${1000 + made}`, "-days", `${days}`]
      yield* openssl("x509", "-req", ...signing, "-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.crt`)
      return { cert: readFileSync(at(`${name}.crt`)), key: readFileSync(at(`${name}.key`)) }
    }),
  }
})

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-tls-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
)

/** A directory as `NIMBUS_TLS` names one. */
export const directoryWith = Effect.fnUntraced(function* (certificate: Certificate, ca?: Buffer) {
  const directory = yield* temporary
  write(directory, certificate)
  if (ca !== undefined) writeFileSync(join(directory, "ca.crt"), ca)
  return directory
})

/** Puts other files in their place, each at once. */
export const write = (directory: string, { cert, key }: Certificate): void => {
  put(directory, "tls.crt", cert)
  put(directory, "tls.key", key)
}

/** Writes a file there as a whole. */
export const put = (directory: string, name: string, bytes: Buffer): void => {
  writeFileSync(join(directory, `${name}.new`), bytes)
  renameSync(join(directory, `${name}.new`), join(directory, name))
}
