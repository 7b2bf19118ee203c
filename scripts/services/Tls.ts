/** For tests of TLS: a certificate that nobody trusts, somebody who does, and somebody who listens in. */
import { chownSync, chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getCACertificates, setDefaultCACertificates } from "node:tls"
import { Effect } from "effect"
import { makeCertificate } from "./Certificate.ts"
import { unprivileged } from "./Tools.ts"

/** The files of one for 127.0.0.1 alone, which servers may read that don't run as root. */
export const certificate = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = mkdtempSync(join(tmpdir(), "nimbus-tls-"))
    const files = { certificate: join(directory, "certificate.pem"), key: join(directory, "key.pem") }
    await makeCertificate(files.certificate, files.key)
    chmodSync(directory, 0o711)
    const user = unprivileged()
    if (user !== undefined) for (const file of Object.values(files)) chownSync(file, user.uid, user.gid)
    return { directory, ...files }
  }),
  ({ directory }) => Effect.sync(() => rmSync(directory, { recursive: true })),
)

/** Trusted while the scope lives, as `NODE_EXTRA_CA_CERTS` does for a whole process. */
export const trusting = (certificate: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = getCACertificates("default")
      setDefaultCACertificates([...before, readFileSync(certificate, "utf8")])
      return before
    }),
    (before) => Effect.sync(() => setDefaultCACertificates(before)),
  )

/** A way to a port of this machine on which everything that clients say is heard. */
export const listeningIn = (to: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const heard: Array<Buffer> = []
      const sockets = new Set<Socket>()
      const keep = (socket: Socket) => sockets.add(socket).size && socket.on("error", () => socket.destroy())
      const server = createServer((client) => {
        const there = connect(to, "127.0.0.1")
        keep(client)
        keep(there)
        client.on("data", (data: Buffer) => heard.push(data))
        client.on("close", () => there.destroy())
        there.on("close", () => client.destroy())
        client.pipe(there).pipe(client)
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      const address = server.address()
      if (address === null || typeof address === "string") throw new Error("a listening socket has no port")
      const close = () => {
        server.close()
        for (const socket of sockets) socket.destroy()
      }
      return { port: address.port, heard: () => Buffer.concat(heard), close }
    }),
    ({ close }) => Effect.sync(close),
  )
