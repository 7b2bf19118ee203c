/** Clients of the transports, for tests of any package. */
export * as GrpcClient from "./GrpcClient.ts"
export * as OldGrpcClient from "./OldGrpcClient.ts"
export * as PlainClient from "./PlainClient.ts"
export * as Certificates from "./Certificates.ts"
