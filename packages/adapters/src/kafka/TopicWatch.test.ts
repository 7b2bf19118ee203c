import { assert, describe, it } from "@effect/vitest"
import { Incarnation } from "@nimbus/domain/protocol"
import { retentionOf } from "./TopicSettings.ts"
import { TopicStates } from "./TopicWatch.ts"

const incarnation = Incarnation.make("log")
const options = {
  topics: ["events", "journey", "chats"],
  lifeOf: ["events"],
  shared: ["chats"],
  kept: [],
  partitions: 2,
  create: false,
  retention: {},
} as const

const topic = (name: string, partitions = 2, id: string | undefined = `id of ${name}`) => ({
  topic: name,
  id,
  partitions,
  replicas: 1,
})
const others = [topic("journey"), topic("chats")]

const states = (id?: string) =>
  new TopicStates(options, {
    incarnation,
    sharedIncarnations: new Map([["chats", Incarnation.make("chats")]]),
    found: [{ ...topic("events"), id }, ...others],
    messageBytes: new Map([["events", 1_000]]),
    retentions: new Map([["events", 60_000]]),
  })

const tags = (faults: ReturnType<TopicStates["take"]>) => faults.map(({ _tag, topic }) => `${_tag} ${topic}`)

describe("what is known of topics", () => {
  it("is nothing new as long as they are the same, and where a broker tells no ids", () => {
    const known = states("1")
    assert.deepStrictEqual(known.take([topic("events", 2, "1"), ...others]), [])
    assert.deepStrictEqual(known.take([{ ...topic("events"), id: undefined }, ...others]), [])
    assert.deepStrictEqual(states(undefined).take([topic("events", 2, "1"), ...others]), [])
  })

  it("is that one is gone, as long as it is, and that it is another one, for good", () => {
    const known = states("1")
    assert.deepStrictEqual(tags(known.take(others)), ["KafkaTopicReplaced events"])
    assert.isUndefined(known.replaced)
    assert.deepStrictEqual(known.take([topic("events", 2, "1"), ...others]), [])
    assert.deepStrictEqual(tags(known.take([topic("events", 2, "2"), ...others])), ["KafkaTopicReplaced events"])
    assert.propertyVal(known.replaced, "topic", "events")
  })

  it("is more partitions of those that may have more, and a fault of those that may not", () => {
    const known = states("1")
    const found = [topic("events", 3, "1"), topic("journey", 3), topic("chats", 3)]
    assert.deepStrictEqual(tags(known.take(found)), ["KafkaPartitionsAdded events"])
    assert.deepStrictEqual(
      ["events", "journey", "chats"].map((name) => known.facts(name).partitions),
      [2, 2, 3],
    )
  })

  it("is how much each takes, less what a batch has beside its records, how long it keeps them, and which life it is of", () => {
    const known = states("1")
    const ofEvents = { partitions: 2, incarnation, publish_bytes: 939, retention_ms: 60_000 }
    assert.deepStrictEqual(known.facts("events"), ofEvents)
    const chats = Incarnation.make("chats")
    const untold = { partitions: 2, incarnation: chats, publish_bytes: Infinity, retention_ms: Infinity }
    assert.deepStrictEqual(known.facts("chats"), untold)
  })

  it("is how long a record may be read: its topic's time and its segment's, and for ever where either is not told", () => {
    const of = (settings: Readonly<Record<string, string>>) => retentionOf({ settings })
    assert.strictEqual(of({ "retention.ms": "1000", "segment.ms": "50" }), 1_050)
    assert.strictEqual(of({ "retention.ms": "-1", "segment.ms": "50" }), Infinity)
    assert.strictEqual(of({ "retention.ms": "1000" }), Infinity)
    assert.strictEqual(of({}), Infinity)
  })
})
