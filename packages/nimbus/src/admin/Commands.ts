/** The commands of operators: each asks `Operations` one thing and prints the answer, for people or for programs. */
import { ClientId, EventId, type Operations, PodId, Seq, StatusName } from "@nimbus/domain/admin"
import { Effect, type Layer, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as AccessCommands from "./AccessCommands.ts"
import { answer, flags, limit, limitOf, print } from "./Asking.ts"
import type { ReachedStatus } from "./ClusterStatus.ts"
import * as Where from "./Where.ts"
import * as Format from "./Format.ts"

const id = Argument.String("client-id").pipe(Argument.withSchema(ClientId))
const natural = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const place = {
  partition: Argument.Int("partition").pipe(Argument.withSchema(natural)),
  offset: Argument.Int("offset").pipe(Argument.withSchema(natural)),
}

/** What of the flags is the input of an operation. */
const clientOf = ({ id }: { readonly id: ClientId }) => ({ clientId: id })
const placeOf = ({ offset, partition }: { readonly offset: number; readonly partition: number }) => ({
  partition,
  offset,
})

/**
 * All of them but `client`, which has its name in common with another. `clusterStatus`: what can be reached of a cluster,
 * for an operator who wants to know what can't.
 */
export const commands = <E, R, E2, R2>(
  at: (asked: Where.Asked) => Layer.Layer<Operations, E, R>,
  clusterStatus: Effect.Effect<ReachedStatus, E2, R2>,
) => {
  const ask = answer(at)
  return [
    Command.make("status", flags, (asked) =>
      Effect.gen(function* () {
        if (!(yield* Where.asksCluster(asked))) return yield* ask(asked, ({ status }) => status(), Format.status)
        yield* print(asked, Format.status)(clusterStatus)
      }),
    ).pipe(Command.withDescription("Clients by status, lag, pods, quarantine")),
    Command.make(
      "clients",
      {
        ...flags,
        limit,
        status: Flag.Literals("status", StatusName.literals).pipe(Flag.optional),
        search: Flag.String("search").pipe(Flag.withDescription("A part of the client's id"), Flag.optional),
      },
      (asked) =>
        ask(
          asked,
          ({ clients }) =>
            clients({
              query: {
                limit: Option.getOrUndefined(asked.limit),
                status: Option.getOrUndefined(asked.status),
                search: Option.getOrUndefined(asked.search),
              },
            }),
          Format.clients,
        ),
    ).pipe(
      Command.withDescription("Clients: those that replay first, then those that are offline with waiting records"),
    ),
    Command.make("mailbox", { ...flags, id, limit }, (asked) =>
      ask(asked, ({ mailbox }) => mailbox({ params: clientOf(asked), query: limitOf(asked) }), Format.mailbox),
    ).pipe(Command.withDescription("What waits for a client")),
    Command.make("trace", { ...flags, id, seq: Argument.Int("seq").pipe(Argument.withSchema(Seq)) }, (asked) =>
      ask(asked, ({ journey }) => journey({ params: { ...clientOf(asked), seq: asked.seq } }), Format.journey),
    ).pipe(Command.withDescription("The journey of one event: every hop, by whom, and why")),
    Command.make("quarantine").pipe(
      Command.withDescription("Records that could not be decoded"),
      Command.withSubcommands([
        Command.make("list", { ...flags, limit }, (asked) =>
          ask(asked, ({ quarantine }) => quarantine({ query: limitOf(asked) }), Format.quarantine),
        ).pipe(Command.withDescription("The newest first")),
        Command.make("show", { ...flags, ...place }, (asked) =>
          ask(asked, ({ quarantined }) => quarantined({ params: placeOf(asked) }), Format.quarantined),
        ).pipe(Command.withDescription("One of them, with its text")),
        Command.make("retry", { ...flags, ...place }, (asked) =>
          ask(asked, ({ retry }) => retry({ params: placeOf(asked) }), Format.republished),
        ).pipe(Command.withDescription("Publish it as a new event, with a new seq, if it can be decoded by now")),
      ]),
    ),
    Command.make(
      "replay",
      {
        ...flags,
        id,
        from: Flag.Int("from").pipe(Flag.withDescription("The first seq"), Flag.withSchema(Seq)),
        upTo: Flag.Int("up-to").pipe(
          Flag.withDescription("Not this seq and none after it; default: the end of the log"),
          Flag.withSchema(Seq),
          Flag.optional,
        ),
      },
      (asked) =>
        ask(
          asked,
          ({ replay }) =>
            replay({ params: clientOf(asked), payload: { from: asked.from, upTo: Option.getOrUndefined(asked.upTo) } }),
          Format.republished,
        ),
    ).pipe(Command.withDescription("Publish a client's events as new events, with new seqs")),
    Command.make("kick", { ...flags, id }, (asked) =>
      ask(asked, ({ kick }) => kick({ params: clientOf(asked) }), Format.kicked),
    ).pipe(Command.withDescription("Close a client's connection")),
    Command.make("forget", { ...flags, id }, (asked) =>
      ask(asked, ({ forget }) => forget({ payload: { clientIds: [asked.id] } }), Format.forgotten),
    ).pipe(Command.withDescription("Forget a client that will not come back, with all that waits for it")),
    Command.make(
      "tasks",
      {
        ...flags,
        limit,
        client: Flag.String("client").pipe(
          Flag.withDescription("Of this client alone"),
          Flag.withSchema(ClientId),
          Flag.optional,
        ),
        name: Flag.String("name").pipe(Flag.withDescription("Of this name alone"), Flag.optional),
      },
      (asked) =>
        ask(
          asked,
          ({ tasks }) =>
            tasks({
              query: {
                limit: Option.getOrUndefined(asked.limit),
                clientId: Option.getOrUndefined(asked.client),
                name: Option.getOrUndefined(asked.name),
              },
            }),
          Format.tasks,
        ),
    ).pipe(
      Command.withDescription("Tasks that have not ended: where each runs, since when, and what waits"),
      Command.withSubcommands([
        Command.make(
          "cancel",
          { ...flags, id, task: Argument.String("event-id").pipe(Argument.withSchema(EventId)) },
          (asked) =>
            ask(
              asked,
              ({ cancel }) => cancel({ params: clientOf(asked), payload: { id: asked.task } }),
              Format.cancelled,
            ),
        ).pipe(Command.withDescription("Cancel a client's latest open task with this event id; none is no error")),
      ]),
    ),
    Command.make("drain", { ...flags, pod: Argument.String("pod").pipe(Argument.withSchema(PodId)) }, (asked) =>
      ask(asked, ({ drain }) => drain({ params: { pod: asked.pod } }), Format.drained),
    ).pipe(Command.withDescription("Send a gateway's clients away, so that it can be stopped")),
    Command.make("pods", flags, (asked) => ask(asked, ({ pods }) => pods(), Format.pods)).pipe(
      Command.withDescription("Gateways and pipelines: where each is, what it does, and how many clients it has"),
    ),
    Command.make("topics", flags, (asked) => ask(asked, ({ topics }) => topics(), Format.topics)).pipe(
      Command.withDescription("Topics, what they retain, and how far their readers are behind"),
    ),
    Command.make("lag", flags, (asked) => ask(asked, ({ topics }) => topics(), Format.lag)).pipe(
      Command.withDescription("How far each consumer of the pipeline is behind, by partition"),
    ),
    ...AccessCommands.commands(at),
  ] as const
}
