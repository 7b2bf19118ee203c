/**
 * TLS of one port. Connections are given to it as they are accepted, and come out encrypted, or not at all.
 *
 * ```
 *   take ──▶ its address ──▶ handshake ──▶ opened
 *                │              └──▶ TLS_FAILED: no TLS, none that we speak, a certificate of no authority of ours, `handshake_ms`
 *                └──▶ beyond its bounds: `AddressBook`
 * ```
 *
 * 1. TLS 1.2 and later.
 * 2. Where there are authorities of clients, each is asked for a certificate. It may have none; one that does not verify
 *    ends the connection, for its owner would not be known for whom it says that it is. That of a trusted proxy is noted for
 *    nobody: many ask through it.
 * 3. A connection beyond the bounds of its address gets no handshake, which would take more of this process than of its
 *    peer. A failed handshake counts as a failure of its address, unless the peer has just gone, as checks of balancers do.
 * 4. Other material counts for handshakes that begin from then on. Connections that are open stay.
 *
 * It listens nowhere: the server of the port does, so that how it is closed is the same with TLS and without.
 */
import type { Socket } from "node:net"
import { createServer, type Server, type TLSSocket } from "node:tls"
import { type AddressGuard, onClose } from "../addresses/Addresses.ts"
import type { Origins } from "../addresses/ClientAddress.ts"
import type { Material } from "./Material.ts"
import { note } from "./PeerCertificates.ts"

export interface DoorOptions {
  /** The protocol that is spoken inside. Whoever asks for others alone is refused. */
  readonly protocol: "http/1.1" | "h2"
  readonly addresses: AddressGuard
  opened(socket: TLSSocket): void
  /** A connection was closed instead, with the code of its row in docs/errors.md. */
  refused(code: string): void
}

export class Door {
  readonly #options: DoorOptions
  readonly #handshake_ms: number
  /** In a handshake, by their ends. */
  readonly #waiting = new Map<string, Socket>()
  #server: Server

  constructor(options: DoorOptions, handshake_ms: number, material: Material) {
    this.#options = options
    this.#handshake_ms = handshake_ms
    this.#server = this.#serverWith(material)
  }

  /** Connections in a handshake. */
  get waiting(): number {
    return this.#waiting.size
  }

  take(socket: Socket): void {
    const origins = originsOf(socket.remoteAddress)
    const { addresses } = this.#options
    const refusal = addresses.ask(origins) ?? addresses.accept(origins.peer, onClose(socket))
    if (refusal !== undefined) {
      this.#options.refused(refusal.code)
      return void socket.destroy()
    }
    const ends = endsOf(socket)
    this.#waiting.set(ends, socket)
    socket.once("close", () => {
      if (this.#waiting.get(ends) === socket) this.#waiting.delete(ends)
    })
    this.#server.emit("connection", socket)
  }

  renew(material: Material): void {
    this.#server = this.#serverWith(material)
  }

  /** Ends handshakes. Connections that are open are not its own any more. */
  close(): void {
    for (const socket of this.#waiting.values()) socket.destroy()
  }

  #serverWith({ ca, cert, key }: Material): Server {
    const server = createServer({
      cert,
      key,
      ...(ca && { ca }),
      minVersion: "TLSv1.2",
      ALPNProtocols: [this.#options.protocol],
      handshakeTimeout: this.#handshake_ms,
      requestCert: ca !== undefined,
      // Whether one was shown that does not verify is looked at below: without one it may go on.
      rejectUnauthorized: false,
    })
    server.on("secureConnection", (socket) => {
      if (ca !== undefined && !socket.authorized && socket.getPeerX509Certificate() !== undefined) {
        return this.#fail(socket)
      }
      if (ca !== undefined && !this.#options.addresses.isProxy(socket.remoteAddress)) note(socket)
      // Each would cost us more than the peer.
      socket.disableRenegotiation()
      this.#waiting.delete(endsOf(socket))
      this.#options.opened(socket)
    })
    server.on("tlsClientError", (error, socket) => {
      this.#fail(socket, "code" in error && error.code === "ECONNRESET")
    })
    return server
  }

  #fail(socket: TLSSocket, hasGone = false): void {
    if (!hasGone) this.#options.addresses.fail(originsOf(socket.remoteAddress))
    socket.destroy()
    this.#options.refused("TLS_FAILED")
  }
}

/** The encrypted socket has the same as the one below it. */
const endsOf = ({ localAddress, remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`

/** Who asks is not said before it is encrypted. */
const originsOf = (peer: string | undefined): Origins => ({ peer, forwardedFor: undefined, forwarded: undefined })
