/** What was verified of a peer, for whoever asks for its credentials. */
import { TLSSocket } from "node:tls"
import type { PeerCertificate } from "@nimbus/domain/services"

/** Of each connection once: to read a certificate takes longer than most requests. */
const known = new WeakMap<object, PeerCertificate>()

/**
 * The certificate that the peer of this connection has shown, if it has shown one. It is verified: a connection with one
 * that is not does not come this far. `socket`: of a request of HTTP/1.1, or of a session of HTTP/2.
 */
export const peerCertificateOf = (socket: object): PeerCertificate | undefined => {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const before = known.get(socket)
  if (before !== undefined) return before
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return undefined
  const read: PeerCertificate = {
    names: namesOf(certificate.subjectAltName ?? ""),
    serial: certificate.serialNumber,
    expires_s: Math.floor(Date.parse(certificate.validTo) / 1000),
  }
  known.set(socket, read)
  return read
}

/**
 * The names of a certificate, from what OpenSSL writes of them: `DNS:a.example, URI:spiffe://b`. Where a name has a comma or
 * a quotation mark in it, Node writes it as JSON, so that it can't pose as several: `URI:"spiffe://b, DNS:a.example"`.
 */
export const namesOf = (text: string): ReadonlyArray<string> => {
  const names: Array<string> = []
  const name = /([^:,"]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y
  while (name.lastIndex < text.length) {
    const [, kind = "", written = ""] = name.exec(text) ?? []
    // Of a certificate that is written otherwise no name counts.
    if (kind === "") return []
    names.push(written.startsWith('"') ? `${kind}:${String(JSON.parse(written))}` : `${kind}:${written}`)
  }
  return names
}
