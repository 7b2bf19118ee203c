/** What was verified of a peer, for whoever asks for its credentials. */
import type { TLSSocket } from "node:tls"
import type { PeerCertificate } from "@nimbus/domain/services"

/** By connection: a request may be looked at when the connection that brought it has gone. */
const noted = new WeakMap<object, PeerCertificate>()

/** What its peer has shown, if it has shown one that verifies, is known from here on. */
export const note = (socket: TLSSocket): void => {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
  if (certificate === undefined) return
  noted.set(socket, {
    names: namesOf(certificate.subjectAltName ?? ""),
    serial: certificate.serialNumber,
    expires_s: Math.floor(Date.parse(certificate.validTo) / 1000),
  })
}

/** The certificate that the peer of this connection has shown, verified. `socket`: that of a request of HTTP/1.1. */
export const peerCertificateOf = (socket: object): PeerCertificate | undefined => noted.get(socket)

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
