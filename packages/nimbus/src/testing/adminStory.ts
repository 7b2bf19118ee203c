/**
 * What operators do at the command line, on real processes: they look at who is there and what waits, follow an event
 * through the pipeline, publish some anew, kick a client and drain a gateway.
 */
import { assert, layer } from "@effect/vitest"
import { encode, EventId, partitionOf, Quarantined } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, type Layer } from "effect"
import type { Said } from "./Operator.ts"
import { connect, type RawClient } from "./RawClient.ts"

export class TestEnvironment extends Context.Service<
  TestEnvironment,
  {
    /** Where the gateway is. */
    readonly port: number
    /** Runs `nimbus …`, so that it finds what is here. */
    run(...args: ReadonlyArray<string>): Effect.Effect<Said>
    /** The flags that lead to the gateway's admin API, with its token in the environment. */
    readonly byApi: ReadonlyArray<string>
  }
>()("nimbus/testing/AdminGround") {}

const utf8 = new TextEncoder()

/** Where the seeded records are. */
export const partition = (partitions: number): number => partitionOf("ada", partitions)

/** What is in the log before anything runs: a record that can't be decoded, and one in quarantine that can by now. */
export const seed = Effect.gen(function* () {
  const log = yield* EventLog
  const topics = yield* Topics
  const at = partition(log.partitions)
  const event = encode({ type: "event", id: EventId.make("once-broken"), name: "sq", data: { number: 12 } })
  const from = { topic: topics.events, partition: at, offset: 1_000 }
  const headers = Quarantined.encode({ reason: "an older version could not read it", from, time: 1 })
  yield* log.publish(topics.quarantine, at, [{ key: "ada", value: event, headers }])
  yield* log.publish(topics.events, at, [{ key: "ada", value: utf8.encode("{ broken") }])
})

/** The answer of a command to a program. */
export const json = (said: Said) => {
  assert.isUndefined(said.code, said.stderr)
  assert.notInclude(said.stdout, "\n")
  return JSON.parse(said.stdout)
}

export const adminStory = <E>(name: string, testEnvironment: Layer.Layer<TestEnvironment, E>) =>
  layer(testEnvironment, { excludeTestServices: true, timeout: 120_000 })(name, (it) => {
    it.effect("is told, from the first look to the drain", () => Effect.flatMap(TestEnvironment, tell), 240_000)
  })

const tell = Effect.fnUntraced(function* (testEnvironment: TestEnvironment["Service"]) {
  const ada = yield* connect(testEnvironment.port, "clientId=ada&ack=client&journey=true")
  yield* square(ada, [2, 3, 4])
  yield* looksAround(testEnvironment)
  yield* follows(testEnvironment, ada)
  yield* followsOneThatWaited(testEnvironment)
  yield* findsMail(testEnvironment)
  yield* empties(testEnvironment, ada)
  yield* replays(testEnvironment, ada)
  yield* seesTasks(testEnvironment)
  yield* kicks(testEnvironment, ada)
  yield* drains(testEnvironment)
})

/** Sends numbers, and acknowledges their squares. */
const square = Effect.fnUntraced(function* (client: RawClient, numbers: ReadonlyArray<number>) {
  const before = client.results().length
  for (const number of numbers) client.send({ type: "event", id: `e${number}`, name: "sq", data: { number } })
  yield* has(client, before + numbers.length)
})

const has = Effect.fnUntraced(function* (client: RawClient, count: number) {
  yield* eventually(
    `${count} results`,
    Effect.sync(() => client.results().length >= count),
    60_000,
  )
  client.send({ type: "ack", seq: client.results().at(-1)?.seq })
})

const looksAround = Effect.fnUntraced(function* ({ byApi, run }: TestEnvironment["Service"]) {
  yield* eventually(
    "the registry knows that ada is LIVE",
    Effect.map(run("status", "--json"), (said) => json(said).clients.LIVE === 1),
    60_000,
  )
  const status = json(yield* run("status", "--json"))
  assert.strictEqual(status.pods.length, 1)
  assert.deepInclude(status.pods[0], { clients: 1, isLive: true })
  assert.match(status.pods[0].role, /^gateway/)
  const words = yield* run("status")
  assert.match(words.stdout, /clients +1 LIVE, 0 REPLAYING/)
  assert.include(words.stdout, status.pods[0].pod)
  assert.deepStrictEqual(json(yield* run("pods", "--json"))[0], status.pods[0])
  assert.include((yield* run("pods")).stdout, status.pods[0].pod)

  const { clients, more } = json(yield* run("clients", "--status", "LIVE", "--search", "da", "--json"))
  assert.deepStrictEqual(
    clients.map(({ clientId }: { clientId: string }) => clientId),
    ["ada"],
  )
  assert.isFalse(more)
  assert.deepStrictEqual(json(yield* run("clients", "--search", "nobody", "--json")).clients, [])
  assert.match((yield* run("clients")).stdout, /^client .*\nada +LIVE/)

  const client = json(yield* run("client", "ada", "--json"))
  assert.strictEqual(client.registry.status, "LIVE")
  assert.strictEqual(client.registry.pod, status.pods[0].pod)
  assert.strictEqual(client.lastEvents[0].id, "e4")
  assert.match((yield* run("client", "ada")).stdout, /status +LIVE/)

  const topics = json(yield* run("topics", "--json"))
  assert.sameMembers(
    topics.map(({ kind }: { kind: string }) => kind),
    ["events", "results", "dlq", "tasks", "quarantine", "journey", "chats"],
  )
  assert.match((yield* run("topics")).stdout, /events +\d+ +\d+ +\d+ +nimbus-event-consumer/)
  assert.match((yield* run("lag")).stdout, /results +\d+ +\d+ +\d+ +\d+ +\d+/)

  assert.deepStrictEqual(json(yield* run("status", ...byApi, "--json")).pods, status.pods)
})

const seqOf = (client: RawClient, id: string): string =>
  String(client.results().find((result) => result.id === id)?.seq ?? assert.fail(`no result of ${id}`))

const follows = Effect.fnUntraced(function* ({ run }: TestEnvironment["Service"], ada: RawClient) {
  const seq = seqOf(ada, "e3")
  const trace = Effect.map(run("trace", "ada", seq, "--json"), json)
  yield* eventually(
    "its journey is written",
    Effect.map(trace, ({ hops }) => hops.at(-1)?.step?.step === "acknowledged"),
    60_000,
  )
  const { event, hops, isFollowed, place } = yield* trace
  assert.deepStrictEqual(event, { type: "event", id: "e3", name: "sq" })
  assert.isTrue(isFollowed)
  assert.strictEqual(place, "acknowledged")
  const seen = hops.flatMap((hop: { _tag: string; step: { step: string } }) =>
    hop._tag === "Seen" ? [hop.step.step] : [],
  )
  for (const step of ["accepted", "logged", "handled", "sent", "acknowledged"]) assert.include(seen, step)
  const words = (yield* run("trace", "ada", seq)).stdout
  assert.match(words, /\naccepted +0 .* gateway gw-/)
  assert.match(words, /\nhandled .* event-consumer /)
  assert.strictEqual((yield* run("trace", "ada", "99999")).code, "NOT_FOUND")
})

/** A client that has acknowledged nothing when it goes finds everything in its mailbox. */
const followsOneThatWaited = Effect.fnUntraced(function* ({ port, run }: TestEnvironment["Service"]) {
  const query = "clientId=carol&ack=client&journey=true"
  yield* Effect.scoped(
    Effect.gen(function* () {
      const carol = yield* connect(port, query)
      for (const number of [7, 8]) carol.send({ type: "event", id: `e${number}`, name: "sq", data: { number } })
      yield* eventually(
        "both are accepted",
        Effect.sync(() => carol.frames.flatMap((frame) => (frame.type === "accepted" ? frame.ids : [])).length === 2),
        60_000,
      )
    }),
  )
  yield* eventually(
    "both wait",
    Effect.map(run("mailbox", "carol", "--json"), (said) => json(said).results >= 2),
    60_000,
  )
  const again = yield* connect(port, query)
  yield* has(again, 2)
  const trace = Effect.map(run("trace", "carol", seqOf(again, "e7"), "--json"), json)
  yield* eventually(
    "its journey is written",
    Effect.map(trace, ({ hops }) => hops.at(-1)?.step?.step === "acknowledged"),
    60_000,
  )
  const { hops } = yield* trace
  const names: ReadonlyArray<string> = hops.map((hop: { step: { step: string } | string }) =>
    typeof hop.step === "string" ? `missing ${hop.step}` : hop.step.step,
  )
  // A record that is diverted goes on as it came to the router, without the step that it was routed by.
  const missing = names.filter((name) => name.startsWith("missing"))
  assert.deepStrictEqual(missing, names.includes("diverted") ? missing.filter((name) => name === "missing routed") : [])
  assert.isTrue(names.includes("shelved") || names.includes("diverted"), names.join(" "))
  assert.include(names, "put")
  const put = hops.find((hop: { step: { step: string } }) => hop.step.step === "put")
  assert.strictEqual(put.step.details.rule, "put by client and seq")
})

const post = (port: number, clientId: string, messages: ReadonlyArray<object>) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/clients/${clientId}/messages`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(messages),
    })
    assert.strictEqual(response.status, 200)
    const receipts: ReadonlyArray<{ readonly seq: number }> = Object(await response.json()).receipts
    return receipts.map(({ seq }) => seq)
  })

/** Of a client that is away. */
const findsMail = Effect.fnUntraced(function* ({ port, run }: TestEnvironment["Service"]) {
  yield* Effect.scoped(connect(port, "clientId=bob&ack=client"))
  const [first] = yield* post(port, "bob", [
    { name: "note", data: "one" },
    { name: "note", data: "two" },
  ])
  yield* eventually(
    "bob is away, with mail",
    Effect.map(run("clients", "--status", "OFFLINE", "--json"), (said) => {
      const [bob] = json(said).clients
      return bob?.clientId === "bob" && bob.waiting >= 2
    }),
    60_000,
  )
  const { records } = json(yield* run("mailbox", "bob", "--json"))
  const notes = records.flatMap(({ value }: { value: string }) => JSON.parse(value).data ?? [])
  assert.deepStrictEqual(notes, ["one", "two"])
  assert.match((yield* run("mailbox", "bob")).stdout, /"data":"two"/)
  assert.strictEqual(json(yield* run("trace", "bob", String(first), "--json")).place, "mailbox")
})

/** Quarantine: what is broken stays there, what is not comes out as a new event. */
const empties = Effect.fnUntraced(function* ({ run }: TestEnvironment["Service"], ada: RawClient) {
  const listed = Effect.map(run("quarantine", "list", "--json"), (said) => json(said).records)
  yield* eventually(
    "the broken record is quarantined",
    Effect.map(listed, (records) => records.length === 2),
    60_000,
  )
  const records: ReadonlyArray<{ partition: number; offset: number; reason: string }> = yield* listed
  const [broken, mended] = records.map(({ offset, partition }) => [`${partition}`, `${offset}`] as const)
  assert.match((yield* run("quarantine", "list")).stdout, /an older version could not read it/)
  assert.strictEqual(json(yield* run("quarantine", "show", ...broken!, "--json")).text, "{ broken")
  assert.include((yield* run("quarantine", "show", ...broken!)).stdout, "{ broken")
  assert.strictEqual((yield* run("quarantine", "show", "0", "99999")).code, "NOT_FOUND")
  assert.strictEqual((yield* run("quarantine", "retry", ...broken!)).code, "NOT_POSSIBLE")

  const before = ada.results().length
  const { events, published } = json(yield* run("quarantine", "retry", ...mended!, "--json"))
  assert.strictEqual(published, 1)
  yield* has(ada, before + 1)
  const result = ada.results().at(-1)
  assert.deepStrictEqual({ id: result?.id, seq: result?.seq }, { id: events[0].newId, seq: events[0].newSeq })
  assert.deepStrictEqual(result?.data, { number: 12, result: 144 })
})

const replays = Effect.fnUntraced(function* ({ run }: TestEnvironment["Service"], ada: RawClient) {
  const before = ada.results().length
  const from = seqOf(ada, "e3")
  const upTo = String(Number(seqOf(ada, "e4")) + 1)
  const said = yield* run("replay", "ada", "--from", from, "--up-to", upTo)
  assert.isUndefined(said.code, said.stderr)
  assert.match(said.stdout, /^published 2 anew: new events with new seqs and ids/)
  yield* has(ada, before + 2)
  const again = ada.results().slice(before)
  assert.deepStrictEqual(
    again.map(({ data }) => data),
    [
      { number: 3, result: 9 },
      { number: 4, result: 16 },
    ],
  )
  assert.isTrue(again.every(({ id, seq }) => !/^e\d$/.test(id) && seq > Number(upTo)))
  assert.strictEqual((yield* run("replay", "ada", "--from", "999999")).code, "NOT_POSSIBLE")
})

/** A task that takes half an hour, unless it is cancelled. */
const seesTasks = Effect.fnUntraced(function* ({ byApi, port, run }: TestEnvironment["Service"]) {
  assert.deepStrictEqual(json(yield* run("tasks", "--json")).tasks, [])
  const tess = yield* connect(port, "clientId=tess&ack=client")
  const data = { text: "word ".repeat(800), every_ms: 1_000 }
  tess.send({ type: "event", id: "t1", name: "stream", data })
  const listed = (...flags: ReadonlyArray<string>) =>
    Effect.map(run("tasks", ...flags, "--json"), (said) => json(said).tasks)
  yield* eventually(
    "the task is listed",
    Effect.map(listed(), (tasks) => tasks.length === 1),
    60_000,
  )
  const [task] = yield* listed("--client", "tess", "--name", "stream")
  assert.deepInclude(task, { clientId: "tess", id: "t1", name: "stream" })
  assert.deepStrictEqual(yield* listed("--client", "ada"), [])
  assert.deepStrictEqual(yield* listed("--name", "ask"), [])
  assert.match((yield* run("tasks")).stdout, /\ntess +t1 +stream /)
  assert.match((yield* run("tasks", ...byApi)).stdout, /\ntess +t1 +stream /)

  const said = yield* run("tasks", "cancel", "tess", "t1")
  assert.strictEqual(said.stdout, "the task t1 of tess is cancelled, unless it has ended")
  yield* eventually(
    "the client is sent its end",
    Effect.sync(() => tess.results().some(({ end, of }) => of === "t1" && end === "cancelled")),
    60_000,
  )
  yield* eventually(
    "it is listed no more",
    Effect.map(listed(), (tasks) => tasks.length === 0),
    60_000,
  )
  assert.isUndefined((yield* run("tasks", "cancel", "tess", "t1")).code)
})

const kicks = Effect.fnUntraced(function* ({ run }: TestEnvironment["Service"], ada: RawClient) {
  assert.strictEqual((yield* run("kick", "nobody")).code, "NOT_FOUND")
  const said = yield* run("kick", "ada")
  assert.match(said.stdout, /^gw-.* was asked to close the connection of ada$/)
  assert.deepStrictEqual(yield* ada.closed, { code: 4004, reason: "KICKED" })
})

const drains = Effect.fnUntraced(function* ({ port, run }: TestEnvironment["Service"]) {
  const ada = yield* connect(port, "clientId=ada&ack=client")
  assert.strictEqual((yield* run("drain", "gw-nobody")).code, "NOT_FOUND")
  const [{ pod }] = json(yield* run("pods", "--json"))
  assert.deepStrictEqual(json(yield* run("drain", pod, "--json")), { pod, received: true })
  assert.deepStrictEqual(yield* ada.closed, { code: 4000, reason: "GOING_AWAY" })
  const ready = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.text()))
  assert.strictEqual(ready, "not ready: draining\n")
})
