/** Clients of an installation with locks: what it is told in its environment, tokens that count there, and sockets. */
import { createHmac } from "node:crypto"
import { Effect } from "effect"

const issuer = "https://issuer.test"
const secret = "a secret of tests, of 32 bytes and more"

/** The owner of the admin API. */
export const adminToken = "a token of the tests' owner"

/** What turns the locks on. */
export const locked = {
  NIMBUS_AUTH_ISSUER: issuer,
  NIMBUS_AUTH_AUDIENCE: "nimbus",
  NIMBUS_AUTH_SECRET: secret,
  NIMBUS_ADMIN_TOKEN: adminToken,
}

const now_s = () => Math.floor(Date.now() / 1000)

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

/** A token of this subject, which counts for ten minutes. */
export const tokenOf = (sub: string, claims: Readonly<Record<string, unknown>> = {}): string => {
  const says = { iss: issuer, aud: "nimbus", sub, iat: now_s(), exp: now_s() + 600, ...claims }
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(says)}`
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
}

/** A socket, and how it ended. */
export interface LockedClient {
  readonly isOpen: () => boolean
  /** The code that it was closed with; `undefined`: not yet. */
  readonly closed: () => number | undefined
  /** When it was closed, as `performance.now` has it. */
  readonly closed_ms: () => number
}

/** Connects with a token, for as long as the scope lives. */
export const connectWith = (port: number, token: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`, ["nimbus.v1", `nimbus.bearer.${token}`])
        const state: { isOpen: boolean; code: number | undefined; at_ms: number } = {
          isOpen: false,
          code: undefined,
          at_ms: 0,
        }
        // Before it is closed it is told why.
        socket.addEventListener("message", ({ data }) => (state.isOpen ||= !String(data).includes(`"type":"error"`)))
        socket.addEventListener("close", ({ code }) => {
          state.code = code
          state.at_ms = performance.now()
        })
        return { socket, state }
      }),
      ({ socket }) => Effect.sync(() => socket.close()),
    ),
    ({ state }): LockedClient => ({
      isOpen: () => state.isOpen && state.code === undefined,
      closed: () => state.code,
      closed_ms: () => state.at_ms,
    }),
  )
