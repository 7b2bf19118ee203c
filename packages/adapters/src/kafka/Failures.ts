/** What Kafka and kafkajs say went wrong, and whether it passes. */
import { LogRefused } from "@nimbus/domain/errors"
import { Alarms } from "@nimbus/domain/services"
import { Effect, Predicate } from "effect"
import { KafkaRefused, KafkaTlsFailed, KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { isTlsError } from "../Tls.ts"

/** The numbers of Kafka's protocol for what went wrong. */
export const codes = {
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeaderOrFollower: 6,
  requestTimedOut: 7,
  messageTooLarge: 10,
  offsetMetadataTooLarge: 12,
  invalidTopic: 17,
  recordListTooLarge: 18,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  illegalGeneration: 22,
  inconsistentGroupProtocol: 23,
  unknownMember: 25,
  invalidSessionTimeout: 26,
  rebalanceInProgress: 27,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  clusterAuthorizationFailed: 31,
  invalidTimestamp: 32,
  unsupportedSaslMechanism: 33,
  illegalSaslState: 34,
  unsupportedForMessageFormat: 43,
  policyViolation: 44,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  saslAuthenticationFailed: 58,
  unknownProducer: 59,
  invalidRecord: 87,
} as const

/** Kafka's answer for a partition. */
export class PartitionError extends Error {
  readonly code: number

  constructor(code: number) {
    super(`Kafka answers with error ${code}, ${nameOf(code)}`)
    this.code = code
  }
}

/** The protocol's number in what kafkajs threw, however deeply it is wrapped. */
export const codeOf = (error: unknown): number | undefined => {
  for (const cause of causesOf(error)) {
    if (Predicate.hasProperty(cause, "code") && typeof cause.code === "number") return cause.code
  }
  return undefined
}

/** Who we are or what we may do is wrong: trying again will not help. */
export const isRefusal = (error: unknown): boolean => {
  const code = codeOf(error)
  return (
    (code !== undefined && refusals.has(code)) ||
    causesOf(error).some((cause) => cause instanceof Error && cause.name === "KafkaJSSASLAuthenticationError")
  )
}

/** Being turned away is an alarm as long as it is met again: nobody but an operator helps against it. */
export const alarmIfRefused = (what: string, error: unknown, { refusal_ms }: KafkaLimits): Effect.Effect<void> => {
  if (!isRefusal(error)) return Effect.void
  const reason = error instanceof Error ? error.message : String(error)
  const fault = { code: "KAFKA_REFUSED", message: `Kafka turns us away, to ${what}: ${reason}` }
  return Effect.flatMap(Alarms, (alarms) => alarms.raise(what, fault, { blocks: true, lasts_ms: refusal_ms }))
}

/** Why these records will not be taken if they come again; `undefined`: they may be. */
export const refusalOf = (topic: string, error: unknown): LogRefused | undefined => {
  const code = codeOf(error)
  const detail = error instanceof Error ? error.message : String(error)
  if (code !== undefined && tooLarge.has(code)) return new LogRefused({ topic, reason: "too-large", detail })
  if (isRefusal(error)) return new LogRefused({ topic, reason: "not-allowed", detail })
  if (code !== undefined && notValid.has(code)) return new LogRefused({ topic, reason: "not-valid", detail })
  return undefined
}

/** The same error of a start, told apart: what only a correction of the settings helps against is not passing. */
export const startError = (
  brokers: string,
  error: KafkaUnavailable,
): KafkaUnavailable | KafkaRefused | KafkaTlsFailed => {
  const reason = error.message
  if (causesOf(error).some(isTlsError)) return new KafkaTlsFailed({ brokers, reason })
  if (isRefusal(error) || codeOf(error) === codes.illegalSaslState) return new KafkaRefused({ brokers, reason })
  // So does a broker that goes, but also one that expects something else at this port.
  return closings.test(reason)
    ? new KafkaUnavailable({ cause: new Error(`${reason} (do NIMBUS_KAFKA_TLS and _SASL_ fit this port?)`) })
    : error
}

const nameOf = (code: number): string =>
  Object.entries(codes).find(([, known]) => known === code)?.[0] ?? "see Kafka's protocol guide"

/** An error and what it was caused by, as deep as anybody nests them. */
const causesOf = (error: unknown): ReadonlyArray<unknown> => {
  const causes = [error]
  for (let depth = 0; depth < 8; depth++) {
    const last = causes.at(-1)
    if (!Predicate.hasProperty(last, "cause") || last.cause === undefined) break
    causes.push(last.cause)
  }
  return causes
}

const refusals: ReadonlySet<number> = new Set([
  codes.topicAuthorizationFailed,
  codes.groupAuthorizationFailed,
  codes.clusterAuthorizationFailed,
  codes.unsupportedSaslMechanism,
  codes.saslAuthenticationFailed,
])

const tooLarge: ReadonlySet<number> = new Set([codes.messageTooLarge, codes.recordListTooLarge])

const notValid: ReadonlySet<number> = new Set([
  codes.invalidTopic,
  codes.invalidTimestamp,
  codes.unsupportedForMessageFormat,
  codes.policyViolation,
  codes.invalidRecord,
])

const closings = /Closed connection|disconnected before secure TLS/
