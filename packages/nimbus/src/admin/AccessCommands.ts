/** The commands about who is let in no more, and about who did what. Behind a server they are its owner's. */
import { type Operations, type OperationInput, StoredAuditEntry } from "@nimbus/domain/admin"
import { revocationLimits } from "@nimbus/domain/limits"
import { type Layer, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { answer, flags, limit, limitOf } from "./Asking.ts"
import * as Format from "./AccessFormat.ts"
import type * as Where from "./Where.ts"

/** As servers take it: they say less of what is wrong with it. */
const Name = Schema.String.check(Schema.isBetweenLength(1, revocationLimits.revocation_chars))
const named = (name: string, description: string) =>
  Argument.String(name).pipe(Argument.withDescription(description), Argument.withSchema(Name))
const subject = named("subject", "As the tokens have it, in the claim that NIMBUS_AUTH_CLIENT_CLAIM names: sub")
const issuer = Flag.String("issuer").pipe(
  Flag.withDescription("Whose it is, as the tokens have it: iss. Default: the first of NIMBUS_AUTH_ISSUER"),
  Flag.optional,
)
const issuerOf = (asked: { readonly issuer: Option.Option<string> }) => ({
  issuer: Option.getOrUndefined(asked.issuer),
})

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional)

/** A moment as people write it. */
const Moment = Schema.String.check(
  Schema.makeFilter((text) => !Number.isNaN(Date.parse(text)) || "must be a time, as 2026-12-31T23:59:59Z"),
)
const moment = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.withSchema(Moment), Flag.optional)
const secondsOf = (moment: Option.Option<string>) =>
  Option.getOrUndefined(Option.map(moment, (text) => Math.floor(Date.parse(text) / 1000)))

export const commands = <E, R>(at: (asked: Where.Asked) => Layer.Layer<Operations, E, R>) => {
  const ask = answer(at)
  return [
    Command.make("revoke").pipe(
      Command.withDescription("Let tokens in no more, and close the connections that stand on them"),
      Command.withSubcommands([
        Command.make(
          "token",
          {
            ...flags,
            issuer,
            tokenId: named("token-id", "Its jti, and not the token itself"),
            expires: moment("expires", "When it ends by itself (exp): the order is then forgotten. Default: in a year"),
          },
          (asked) =>
            ask(
              asked,
              ({ revoke }) =>
                revoke({
                  payload: { ...issuerOf(asked), tokenId: asked.tokenId, expires_s: secondsOf(asked.expires) },
                }),
              Format.revoked(`the token ${asked.tokenId}`, "counts"),
            ),
        ).pipe(Command.withDescription("One token, by its id")),
        Command.make(
          "subject",
          {
            ...flags,
            issuer,
            subject,
            issued: moment("issued", "Those that were issued up to then (iat). Default: now"),
          },
          (asked) =>
            ask(
              asked,
              ({ revoke }) =>
                revoke({
                  payload: { ...issuerOf(asked), subject: asked.subject, issued_s: secondsOf(asked.issued) },
                }),
              Format.revoked(`the tokens of ${asked.subject} so far`, "count"),
            ),
        ).pipe(Command.withDescription("All tokens of a subject so far: it must sign in again")),
      ]),
    ),
    Command.make("block", { ...flags, issuer, subject }, (asked) =>
      ask(
        asked,
        ({ block }) => block({ payload: { ...issuerOf(asked), subject: asked.subject } }),
        Format.blocked(asked.subject),
      ),
    ).pipe(Command.withDescription("Let a subject in no more, until it is unblocked, and close its connections")),
    Command.make("unblock", { ...flags, issuer, subject }, (asked) =>
      ask(
        asked,
        ({ unblock }) => unblock({ payload: { ...issuerOf(asked), subject: asked.subject } }),
        Format.unblocked(asked.subject),
      ),
    ).pipe(Command.withDescription("Let a blocked subject in again")),
    Command.make(
      "revocations",
      { ...flags, limit, search: text("search", "A part of the subject, or of the token's id") },
      (asked) =>
        ask(
          asked,
          ({ revocations }) =>
            revocations({ query: { ...limitOf(asked), search: Option.getOrUndefined(asked.search) } }),
          Format.revocations,
        ),
    ).pipe(Command.withDescription("What counts no more: tokens, and blocked subjects")),
    Command.make(
      "audit",
      {
        ...flags,
        limit,
        action: Flag.Literals("action", StoredAuditEntry.fields.action.literals).pipe(Flag.optional),
        outcome: text("outcome", "OK, or a code"),
        subject: text("subject", "Of this subject alone"),
        client: text("client", "Of this client alone"),
        address: text("address", "From this address alone"),
      },
      (asked) => ask(asked, ({ audit }) => audit({ query: queryOf(asked) }), Format.audit),
    ).pipe(Command.withDescription("Who did what, from where, and what came of it: the newest first")),
  ] as const
}

const queryOf = (asked: {
  readonly limit: Option.Option<number>
  readonly action: Option.Option<StoredAuditEntry["action"]>
  readonly outcome: Option.Option<string>
  readonly subject: Option.Option<string>
  readonly client: Option.Option<string>
  readonly address: Option.Option<string>
}): OperationInput<"audit">["query"] => ({
  ...limitOf(asked),
  action: Option.getOrUndefined(asked.action),
  outcome: Option.getOrUndefined(asked.outcome),
  subject: Option.getOrUndefined(asked.subject),
  clientId: Option.getOrUndefined(asked.client),
  address: Option.getOrUndefined(asked.address),
})
