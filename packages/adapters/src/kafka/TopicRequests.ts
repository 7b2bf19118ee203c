/**
 * Requests of Kafka's protocol about topics that kafkajs has not, or only so that one topic's error hides what the others
 * answered: Metadata 10, the first that tells topic ids; DescribeConfigs 1; OffsetCommit 3, the last that says how long a
 * commit is kept; OffsetFetch 2, with the commit's metadata.
 */
import { Buffer } from "node:buffer"
import { Answer, type Request } from "./Requests.ts"

/** A topic as the brokers know it. */
export interface DescribedTopic {
  readonly topic: string
  /** 0, or the protocol's number of an error. */
  readonly code: number
  /** Another one for each topic that was ever made, whatever its name. A broker in the middle of an upgrade tells none. */
  readonly id: string | undefined
  readonly partitions: number
  /** How many brokers have each record, of the partition that fewest have. */
  readonly replicas: number
}

/** The first broker that knows topic ids, Kafka 2.8, has this version. */
export const metadataWithIds = { apiKey: 3, apiVersion: 10 } as const

export const describeTopics = (
  topics: ReadonlyArray<string>,
): Request<{ readonly clusterId: string; readonly topics: ReadonlyArray<DescribedTopic> }> => ({
  ...metadataWithIds,
  apiName: "Metadata",
  body: () => {
    const parts = [tags, varint(topics.length + 1)]
    for (const topic of topics) {
      const name = Buffer.from(topic)
      parts.push(noId, varint(name.length + 1), name, tags)
    }
    // None is created by asking; nothing is said of rights.
    parts.push(Buffer.alloc(3), tags)
    return Buffer.concat(parts)
  },
  read: (answer) => {
    const input = new FlexibleAnswer(answer)
    input.tags()
    input.at += 4 // throttle time
    input.array(() => {
      input.at += 4 // the node's id
      input.text()
      input.at += 4 // its port
      input.text() // its rack
      input.tags()
    })
    const clusterId = input.text()
    input.at += 4 // the controller
    const topics = input.array(() => {
      const code = input.int16()
      const topic = input.text()
      const id = input.id()
      input.at += 1 // whether it is Kafka's own
      const replicas = input.array(() => {
        input.at += 14 // error, partition, leader and its epoch
        const nodes = input.array(() => input.int32()).length
        input.array(() => input.int32()) // in sync
        input.array(() => input.int32()) // offline
        input.tags()
        return nodes
      })
      input.at += 4 // rights
      input.tags()
      return { topic, code, id, partitions: replicas.length, replicas: Math.min(...replicas) }
    })
    return { clusterId, topics }
  },
})

/** What is set for a topic, the broker's defaults included. */
export interface DescribedSettings {
  readonly topic: string
  readonly code: number
  readonly settings: Readonly<Record<string, string>>
}

export const describeSettings = (
  topics: ReadonlyArray<string>,
  names: ReadonlyArray<string>,
): Request<ReadonlyArray<DescribedSettings>> => ({
  apiKey: 32,
  apiVersion: 1,
  apiName: "DescribeConfigs",
  body: () => {
    const resources = topics.map((topic) => [Buffer.from([2]), string(topic), array(names.map(string))])
    return Buffer.concat([array(resources.map((parts) => Buffer.concat(parts))), Buffer.from([0])])
  },
  read: (answer) => {
    const input = new Answer(answer)
    input.at = 4 // throttle time
    return input.array(() => {
      const code = input.int16()
      input.text() // what it means
      input.at += 1 // that it is a topic
      const topic = input.text()
      const entries = input.array(() => {
        const entry = [input.text(), input.text()] as const
        input.at += 3 // read only, from where, secret
        input.array(() => {
          input.text()
          input.text()
          input.at += 1
        })
        return entry
      })
      return { topic, code, settings: Object.fromEntries(entries) }
    })
  },
})

/** A text that a group keeps for a partition, as long as the topic is there. */
export interface Note {
  readonly group: string
  readonly topic: string
  readonly partition: number
}

/** Returns the protocol's number of an error, or 0. */
export const writeNote = ({ group, partition, topic }: Note, text: string, keep_ms: number): Request<number> => ({
  apiKey: 8,
  apiVersion: 3,
  apiName: "OffsetCommit",
  body: () => {
    const generation = Buffer.alloc(4)
    generation.writeInt32BE(-1)
    const [keep, place] = [Buffer.alloc(8), Buffer.alloc(12)]
    keep.writeBigInt64BE(BigInt(keep_ms))
    place.writeInt32BE(partition)
    const partitions = array([Buffer.concat([place, string(text)])])
    return Buffer.concat([
      string(group),
      generation,
      string(""),
      keep,
      array([Buffer.concat([string(topic), partitions])]),
    ])
  },
  read: (answer) => {
    const input = new Answer(answer)
    input.at = 4 // throttle time
    const [code = 0] = input.topics(() => {
      input.at += 4
      return input.int16()
    })
    return code
  },
})

/** `text` is empty where there is none. */
export const readNote = ({
  group,
  partition,
  topic,
}: Note): Request<{ readonly code: number; readonly text: string }> => ({
  apiKey: 9,
  apiVersion: 2,
  apiName: "OffsetFetch",
  body: () => {
    const place = Buffer.alloc(4)
    place.writeInt32BE(partition)
    return Buffer.concat([string(group), array([Buffer.concat([string(topic), array([place])])])])
  },
  read: (answer) => {
    const input = new Answer(answer)
    const [found = { code: 0, text: "" }] = input.topics(() => {
      input.at += 12 // partition, offset
      const text = input.text()
      return { code: input.int16(), text }
    })
    const code = input.int16()
    return code === 0 ? found : { code, text: "" }
  },
})

const string = (text: string): Buffer => {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(2)
  length.writeInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const array = (all: ReadonlyArray<Buffer>): Buffer => {
  const count = Buffer.alloc(4)
  count.writeInt32BE(all.length)
  return Buffer.concat([count, ...all])
}

/** No tagged fields. In a request the first stands for those of its header. */
const tags = Buffer.from([0])

/** By its name. */
const noId = Buffer.alloc(16)

const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let rest = value
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

/** Reads along an answer of a flexible version: lengths are varints, one more than they say, and 0 for nothing. */
class FlexibleAnswer extends Answer {
  override text(): string {
    return this.take(Math.max(0, this.varint() - 1)).toString()
  }

  override array<A>(one: () => A): ReadonlyArray<A> {
    return Array.from({ length: Math.max(0, this.varint() - 1) }, one)
  }

  id(): string | undefined {
    const id = this.take(16)
    return id.equals(noId) ? undefined : id.toString("hex")
  }

  tags(): void {
    for (let tags = this.varint(); tags > 0; tags--) {
      this.varint()
      this.take(this.varint())
    }
  }

  varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.take(1)[0] ?? 0
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
}
