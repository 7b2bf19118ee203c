/** Tokens: whose count here, and who they are of. */
export { KeysUnavailable, LocksBad } from "../Errors.ts"
export * as TokenAuthenticator from "./TokenAuthenticator.ts"
export { config as tokenConfig, type IssuerSettings, type KeySource, type TokenSettings } from "./Settings.ts"
