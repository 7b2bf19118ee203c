/**
 * The entrance for services that embed Nimbus. What the packages of Nimbus itself need stands behind the subpaths:
 * `/protocol` (records, frames, state machines), `/services` (contracts, memory layers), `/errors`, `/limits`, `/json`, `/pacing`,
 * `/observability`, `/admin`, `/http` (the HTTP API), and `/testing` (conformance suites).
 *
 * ```
 *   handlers and events     Handlers · Publisher · Topics
 *   the protocol            Ids · Records · Frames · Status
 *   services                EventLog · Mailbox · Registry · ClientOffsets · PodChannel · AckChannel · Archive
 *   what can go wrong       Errors
 *   what can be seen        Journey · Trace
 * ```
 */
export * as AckChannel from "./entrance/AckChannel.ts"
export * as Archive from "./entrance/Archive.ts"
export * as ClientOffsets from "./entrance/ClientOffsets.ts"
export * as Errors from "./Errors.ts"
export * as EventLog from "./entrance/EventLog.ts"
export * as Frames from "./protocol/Frames.ts"
export { Handlers } from "./services/Handlers.ts"
export * as Ids from "./protocol/Ids.ts"
export * as Journey from "./protocol/Journey.ts"
export * as Mailbox from "./entrance/Mailbox.ts"
export * as PodChannel from "./entrance/PodChannel.ts"
export { Publisher } from "./services/Publisher.ts"
export * as Records from "./protocol/Records.ts"
export * as Registry from "./entrance/Registry.ts"
export * as Status from "./protocol/Status.ts"
export { Topics } from "./services/Topics.ts"
export * as Trace from "./observability/Trace.ts"
