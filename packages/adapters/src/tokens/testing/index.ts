/** Issuers of tokens, for tests. */
export * as Issuer from "./Issuer.ts"
export * as Provider from "./Provider.ts"
