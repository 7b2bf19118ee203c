/** What the commands of operators have in common: whom they ask, and how they print the answer. */
import { Operations, type OperationsShape } from "@nimbus/domain/admin"
import { Console, Effect, type Layer, Logger, Option, References, Schema } from "effect"
import { Flag } from "effect/cli"
import * as Where from "./Where.ts"

export const flags = {
  ...Where.flags,
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the answer as one line of JSON, for programs"),
    Flag.withDefault(false),
  ),
}

export interface Asked extends Where.Asked {
  readonly json: boolean
}

/** What is told beside the answer goes to stderr: stdout is the answer's. */
const quietly = Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))

/** Asks, and prints. */
export const answer =
  <E, R>(at: (asked: Where.Asked) => Layer.Layer<Operations, E, R>) =>
  <A, E2>(asked: Asked, question: (ask: OperationsShape) => Effect.Effect<A, E2>, words: (answer: A) => string) =>
    print(asked, words)(Effect.provide(Operations.use(question), at(asked)))

export const print =
  <A>({ json }: Asked, words: (answer: A) => string) =>
  <E, R>(question: Effect.Effect<A, E, R>) =>
    question.pipe(
      Effect.flatMap((found) => Console.log(json ? JSON.stringify(found) : words(found))),
      quietly,
      Effect.provideService(References.MinimumLogLevel, "Warn"),
    )

export const limit = Flag.Int("limit").pipe(
  Flag.withDescription("How many to show at most, up to 1000"),
  Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))),
  Flag.optional,
)
export const limitOf = ({ limit }: { readonly limit: Option.Option<number> }) => ({
  limit: Option.getOrUndefined(limit),
})
