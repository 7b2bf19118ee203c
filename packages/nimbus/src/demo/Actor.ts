/**
 * A client of the demo: the SDK over a real WebSocket, with a line that can be cut and a journal for its memory.
 *
 * A result counts as shown when its line is on disk, and only then does the SDK acknowledge it.
 */
import { join } from "node:path"
import { Client, ClientMemory, isLost, type MemoryUnavailable, Transport } from "@nimbus/client"
import type { Incarnation, Status } from "@nimbus/domain/protocol"
import { Array, Clock, Effect, Latch, Result, Stream } from "effect"
import { Account } from "./Account.ts"
import * as Connection from "./Connection.ts"
import * as Journal from "./Journal.ts"
import type { Narrator } from "./Narrator.ts"

/** Comes back fast, so that the story is short. */
const limits = { reconnect_min_ms: 50, reconnect_max_ms: 200 }

/** The journal of a party and what it adds up to, with each entry. */
export const keepAccount = Effect.fnUntraced(function* (directory: string, name: string) {
  const { append, entries } = yield* Journal.open(join(directory, `${name}.journal`))
  const account = new Account(entries)
  const record = (entry: Journal.Entry) =>
    Effect.andThen(
      append(entry),
      Effect.sync(() => account.add(entry)),
    )
  return { account, record }
})

export type Books = Effect.Success<ReturnType<typeof keepAccount>>

export interface ActorOptions extends Books {
  readonly name: string
  readonly url: string
  /** The log that is there now. */
  readonly log: Incarnation
  readonly narrator: Narrator
}

export type Actor = Effect.Success<ReturnType<typeof make>>

/** Connects as long as the scope lives. */
export const make = Effect.fn("Actor.make")(function* ({ account, log, name, narrator, record, url }: ActorOptions) {
  const connection = Connection.make()
  const { hasEntered, memory } = journalMemory(account, record, log)
  const client = yield* Client.make({ url, clientId: name, limits }).pipe(
    Effect.provideService(ClientMemory, memory),
    Effect.provideService(Transport.Transport, connection.transport),
  )
  // The line of a result must come after that of the log it is in.
  const receive = Stream.runForEachArray(client.results, (deliveries) =>
    Effect.gen(function* () {
      const [items, lost] = Array.partition(deliveries, (delivery) =>
        isLost(delivery) ? Result.fail(delivery) : Result.succeed(delivery),
      )
      for (const notice of lost) yield* narrator.say(`${name} is told: ${JSON.stringify(notice)}`)
      yield* hasEntered
      if (items.length > 0) yield* record({ _tag: "Received", items })
    }),
  )
  const send = (count: number) => {
    const first = account.next
    return client.sendAll(Array.makeBy(count, (i) => ({ name: "sq", data: { number: first + i } })))
  }
  yield* Effect.forkScoped(tellStatus(name, client, narrator))
  return { name, account, connection, client, send, /** Until the client fails. */ receive }
})

type Record = (entry: Journal.Entry) => Effect.Effect<void, MemoryUnavailable>

/** What the SDK remembers, in the journal; and a wait until it has entered this log. */
const journalMemory = (account: Account, record: Record, log: Incarnation) => {
  const entered = Latch.makeUnsafe(account.log === log)
  const memory = ClientMemory.of({
    load: () => Effect.sync(() => account.remembered()),
    save: (_, changes) =>
      Effect.andThen(
        record({ _tag: "Saved", changes }),
        Effect.suspend(() => (account.log === log ? entered.open : Effect.void)),
      ),
  })
  return { memory, hasEntered: entered.await }
}

/** One line for each way from OFFLINE to LIVE, with the times it took. */
const tellStatus = (name: string, { status }: Client.Client, narrator: Narrator) => {
  let path: ReadonlyArray<string> = []
  let last: { readonly status: Status.StatusName; readonly at_ms: number } | undefined
  return Stream.runForEach(status, (status) =>
    Effect.gen(function* () {
      const now_ms = yield* Clock.currentTimeMillis
      path = last === undefined ? [status] : [...path, `(${now_ms - last.at_ms} ms) → ${status}`]
      last = { status, at_ms: now_ms }
      if (status === "REPLAYING") return
      if (path.length > 1) yield* narrator.say(`${name}: ${path.join(" ")}`)
      path = [status]
    }),
  )
}
