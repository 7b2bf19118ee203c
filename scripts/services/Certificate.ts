/** A certificate that is its own authority, which nobody trusts who is not told to. */
import { run } from "./Tools.ts"

/** For a day, and 127.0.0.1 alone: into these two files. Needs openssl. */
export const makeCertificate = async (certificate: string, key: string): Promise<void> => {
  const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=services"
  const names = ["-addext", "subjectAltName=IP:127.0.0.1"]
  await run("openssl", [...request.split(" "), ...names, "-keyout", key, "-out", certificate], { timeout_ms: 20_000 })
}
