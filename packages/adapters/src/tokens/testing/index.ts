/** Issuers of tokens, for tests. */
export * as Issuer from "./Issuer.ts"
