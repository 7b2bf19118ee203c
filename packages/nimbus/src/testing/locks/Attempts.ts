/**
 * What somebody may try at each transport: with which capability it is allowed, and what comes of it. The client that it
 * is about is always `alice`; who asks is whoever has the token.
 */
import type { Attempt } from "./Attempt.ts"
import { chat } from "./ChatAttempts.ts"
import { grpc } from "./GrpcAttempts.ts"
import { http } from "./HttpAttempts.ts"
import { streams } from "./StreamAttempts.ts"

export const attempts: ReadonlyArray<Attempt> = [...streams, ...grpc, ...chat, ...http]
