/**
 * The story of the demo: three clients send numbers to be squared; the line of one is cut; results pile up for it;
 * it returns, replays, goes LIVE; and in the end everything is counted.
 *
 * Whatever an earlier run of it has left behind, killed or not, is part of the count.
 */
import { ClientId } from "@nimbus/domain/protocol"
import { EventLog, Mailbox } from "@nimbus/domain/services"
import { Clock, Console, Effect, Fiber, Schedule } from "effect"
import { DemoFailed } from "../Errors.ts"
import * as Actor from "./Actor.ts"
import * as Narrator from "./Narrator.ts"
import { clientRow, messagesRow, table, totalOf } from "./Report.ts"
import * as Sender from "./Sender.ts"

export interface StoryOptions {
  /** Of each client. */
  readonly events: number
  /** Where the journals are. */
  readonly directory: string
  /** The server: `ws://host:port`. */
  readonly url: string
}

/** An act has a turn for so many events of a client, but no more turns than that; between two turns is a pause. */
const turn_events = 25
const turns_per_act = 30
const pause_ms = 200
/** How long may pass until a client is LIVE, until all results are there. Beyond: the story goes on to its end. */
const live_ms = 10_000
const results_ms = 30_000

const names = ["alice", "bob", "carol"] as const

/** Fails with `DemoFailed` if anything was lost, repeated or out of order. */
export const tell = Effect.fn("Story.tell")(function* (options: StoryOptions) {
  const narrator = yield* Narrator.make
  const books = yield* openBooks(options)
  yield* tellPast(books, narrator)
  yield* narrator.act("Three clients connect, send numbers, and get their squares")
  const cast = yield* assemble(options, books, narrator)
  const receiving = Effect.raceAllFirst(cast.actors.map((actor) => actor.receive))
  yield* Effect.raceFirst(play(options.events, cast, narrator), receiving)
  yield* judge(cast)
}, Effect.scoped)

type Library = Effect.Success<ReturnType<typeof openBooks>>
type Cast = Effect.Success<ReturnType<typeof assemble>>

const openBooks = Effect.fnUntraced(function* ({ directory }: StoryOptions) {
  const at_ms = yield* Clock.currentTimeMillis
  const open = (name: string) =>
    Effect.tap(Actor.keepAccount(directory, name), ({ record }) => record({ _tag: "Began", at_ms }))
  return {
    alice: yield* open("alice"),
    bob: yield* open("bob"),
    carol: yield* open("carol"),
    messages: yield* open("messages"),
  }
})

/** What is there from earlier runs. */
const tellPast = Effect.fnUntraced(function* (books: Library, narrator: Narrator.Narrator) {
  const { runs } = books.bob.account
  if (runs === 1) return
  yield* narrator.act(`Run ${runs}, on what the last one has left`)
  for (const name of names) {
    const { account } = books[name]
    const { last, unaccepted } = account.remembered()
    yield* narrator.say(
      `${name}: ${account.sent.size} sent, ${account.answered.size} squares; goes on after seq ${last}, sends ${unaccepted.length} again`,
    )
  }
})

const assemble = Effect.fnUntraced(function* ({ url }: StoryOptions, books: Library, narrator: Narrator.Narrator) {
  const log = (yield* EventLog).incarnation
  const make = (name: (typeof names)[number]) => Actor.make({ ...books[name], name, url, log, narrator })
  const [alice, bob, carol] = [yield* make("alice"), yield* make("bob"), yield* make("carol")]
  const sender = yield* Sender.make(books.messages, url.replace(/^ws/, "http"))
  return { actors: [alice, bob, carol], others: [alice, carol], bob, sender }
})

const play = Effect.fnUntraced(function* (events: number, cast: Cast, narrator: Narrator.Narrator) {
  const { actors } = cast
  const share = Math.floor(events / 5)
  yield* Effect.forEach(actors, isLive)
  yield* inTurns(share, (count) => sendAll(actors, count))
  yield* tellCounts(actors, narrator)

  const burst = yield* cutOff(events - 2 * share, cast, narrator)
  yield* pileUp(events - 2 * share, cast, narrator)
  yield* comeBack(burst, cast, narrator)

  yield* narrator.act("All three go on")
  yield* inTurns(share, (count) => sendAll(actors, count))
  yield* waitUntil(results_ms, () => isFinished(cast))
  yield* tellCounts(actors, narrator)
})

/** The line of bob is cut in the middle of a burst, which goes on as soon as it is mended. */
const cutOff = Effect.fnUntraced(function* (count: number, { bob }: Cast, narrator: Narrator.Narrator) {
  yield* narrator.act(`bob sends ${count} at once; in the middle of it its line is cut, without a close`)
  const { accepted, received, sent } = bob.account
  const before = { accepted: accepted.size, received: received.length, sent: sent.size }
  const burst = yield* Effect.forkScoped(bob.send(count))
  yield* waitUntil(live_ms, () => accepted.size > before.accepted)
  yield* bob.connection.cut
  yield* narrator.say(
    `bob has sent ${sent.size - before.sent}, heard that ${accepted.size - before.accepted} were accepted, and has ${received.length - before.received} results`,
  )
  return burst
})

const pileUp = Effect.fnUntraced(function* (count: number, cast: Cast, narrator: Narrator.Narrator) {
  const { bob, others, sender } = cast
  yield* narrator.act("The others go on, and messages are sent to bob over HTTP; what is for bob waits")
  let turn = 0
  yield* inTurns(count, (count) =>
    Effect.gen(function* () {
      yield* sendAll(others, count)
      yield* sender.post(bob.name, Math.ceil(count / 5))
      if (turn++ % 6 === 0) yield* tellWaiting(cast, narrator)
    }),
  )
  yield* tellCounts(others, narrator)
  yield* tellWaiting(cast, narrator)
})

const comeBack = Effect.fnUntraced(function* (
  burst: Fiber.Fiber<unknown, unknown>,
  cast: Cast,
  narrator: Narrator.Narrator,
) {
  const { bob } = cast
  yield* narrator.act("The line of bob is mended")
  const before = { ...(yield* bob.client.stats), received: bob.account.received.length }
  yield* bob.connection.mend
  yield* isLive(bob)
  yield* Fiber.join(burst)
  yield* waitUntil(results_ms, () => isFinished(cast))
  const { repeats, resent } = yield* bob.client.stats
  const received = bob.account.received.length - before.received
  yield* narrator.say(
    `bob got ${received} results and messages, sent ${resent - before.resent} events again, and dropped ${repeats - before.repeats} second answers`,
  )
})

/** The end: the counts over all runs. */
const judge = Effect.fnUntraced(function* ({ actors, bob, sender }: Cast) {
  const rows = [
    ...actors.map(({ account, name }) => clientRow(name, account)),
    messagesRow("messages to bob", sender.account, bob.account),
  ]
  const total = totalOf(rows)
  const { runs } = bob.account
  yield* Console.log(`
${table(rows)}

${runs === 1 ? "In this run" : `Over all ${runs} runs`}: ${total.lost} lost, ${total.repeated} repeated, ${total.outOfOrder} out of order
`)
  if (total.lost + total.repeated + total.outOfOrder > 0) return yield* new DemoFailed(total)
})

const sendAll = (actors: ReadonlyArray<Actor.Actor>, count: number) =>
  Effect.forEach(actors, (actor) => actor.send(count), { concurrency: "unbounded", discard: true })

/** In turns of about the same size, with a pause after each. */
const inTurns = Effect.fnUntraced(function* <E, R>(count: number, turn: (count: number) => Effect.Effect<void, E, R>) {
  const turns = Math.min(turns_per_act, Math.ceil(count / turn_events))
  for (let i = 0; i < turns; i++) {
    yield* turn(Math.floor((count * (i + 1)) / turns) - Math.floor((count * i) / turns))
    yield* Effect.sleep(pause_ms)
  }
})

const tellCounts = (actors: ReadonlyArray<Actor.Actor>, narrator: Narrator.Narrator) =>
  narrator.say(
    actors
      .map(({ account, name }) => `${name}: ${account.sent.size} sent, ${account.answered.size} squares`)
      .join("; "),
  )

const tellWaiting = Effect.fnUntraced(function* ({ bob }: Cast, narrator: Narrator.Narrator) {
  const { results } = yield* (yield* Mailbox).stats(ClientId.make(bob.name))
  yield* narrator.say(`waiting in the mailbox of bob: ${results}`)
})

const isLive = ({ client }: Actor.Actor) =>
  Effect.timeoutOption(
    Effect.repeat(client.currentStatus, { until: (status) => status === "LIVE", schedule: Schedule.spaced(10) }),
    live_ms,
  )

/** Everything that was sent has its result, and every message that was accepted has come. */
const isFinished = ({ actors, bob, sender }: Cast): boolean => {
  const clients = actors.every(({ account }) => account.open === 0)
  return clients && messagesRow("", sender.account, bob.account).lost === 0
}

/** Looks periodically; what has not come true in time shows in the counts. */
const waitUntil = (within_ms: number, condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced(10) }),
    Effect.timeoutOption(within_ms),
  )
