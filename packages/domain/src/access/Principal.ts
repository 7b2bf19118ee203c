/** Who asks: the subject of a token, of a certificate or of a hook, and what it may do. */
import type { Schema } from "effect"
import type { ClientId } from "../protocol/Ids.ts"
import { Grants } from "./Capability.ts"

/** What handlers get of the claims, by name. */
export type Claims = Readonly<Record<string, Schema.Json>>

/** Who it is. */
export interface Principal {
  /** The issuer as its tokens have it; of a certificate, of the hook and where there are no locks, a name of ours. */
  readonly issuer: string
  readonly subject: string
  /** The client id that is its own: what `{sub}` stands for. */
  readonly clientId: ClientId
  readonly grants: Grants
  /** Of its claims those that handlers are to get. */
  readonly claims: Claims
  /** Seconds since 1970; `undefined`: it does not end by itself. */
  readonly expires_s: number | undefined
  readonly issued_s: number | undefined
  /** `jti`. */
  readonly tokenId: string | undefined
  /** The key that signed the token, for its sessions to end when it is removed. */
  readonly keyId: string | undefined
}

/** The owner of a session: only the same one goes on with it. */
export const ownerOf = ({ issuer, subject }: Pick<Principal, "issuer" | "subject">): string =>
  JSON.stringify([issuer, subject])

/** Where there are no locks: whoever asks, as the client that it names. */
export const anyone = (clientId: ClientId): Principal => ({
  issuer: "anyone",
  subject: clientId,
  clientId,
  grants: Grants.all,
  claims: {},
  expires_s: undefined,
  issued_s: undefined,
  tokenId: undefined,
  keyId: undefined,
})
