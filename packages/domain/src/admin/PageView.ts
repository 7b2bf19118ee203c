/**
 * What the page must know before anybody has signed in: `GET /v1/admin/page`, which asks for no token. No secret is in it.
 */
import { Schema } from "effect"

/** How the page signs in by the identity provider: authorization code with PKCE, as a public client. */
export const SignInView = Schema.Struct({
  issuer: Schema.String,
  clientId: Schema.String,
  /** For whom the token is to be. */
  audience: Schema.optionalKey(Schema.String),
  scope: Schema.String,
  authorizationEndpoint: Schema.String,
  tokenEndpoint: Schema.String,
  /** What ID tokens may be signed by. */
  idTokenAlgorithms: Schema.optionalKey(Schema.Array(Schema.String)),
})
export type SignInView = typeof SignInView.Type

/** What the page finds where it is served. */
export const PageView = Schema.Struct({
  /** Clients show who they are here, so the sample clients of the page can't come as anybody. */
  hasLocks: Schema.Boolean,
  /** Clients and the chat are at the page's own address. */
  hasClients: Schema.Boolean,
  /** Absent: by a token of the settings alone, or the provider can't be asked now. */
  signIn: Schema.optionalKey(SignInView),
})
export type PageView = typeof PageView.Type
