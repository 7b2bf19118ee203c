/**
 * The raw limit of a log: kafkajs and nothing else, one hop over one topic, records of the size of ours. Its promises
 * are weaker than ours by everything behind the log: no handler, no second topic, no client, no ack. It is given its
 * best: batches, all partitions at once, no commits (which cost its consumer 20 ms for each batch) and sockets without
 * Nagle's delay.
 */
import { connect } from "node:net"
import { type Consumer, Kafka, logLevel, type Producer } from "kafkajs"
import { quantile, sleep } from "./Load.ts"

export interface RawKafka {
  /** Records per second, produced in batches and consumed at the same time. */
  throughput(records: number): Promise<number>
  /** From produce to the consumer at an even load, one record at a time: [p50, p99] in ms. */
  latency(per_second: number): Promise<readonly [number, number]>
  close(): Promise<void>
}

const topic = "raw"
const batch_records = 1_000
const warm_up_records = 40_000
const measure_ms = 5_000

export const openRawKafka = async (brokers: string, partitions: number): Promise<RawKafka> => {
  const kafka = new Kafka({
    clientId: "raw",
    brokers: brokers.split(","),
    logLevel: logLevel.NOTHING,
    socketFactory: ({ host, onConnect, port }) => connect({ host, port, noDelay: true }, onConnect),
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  const consumer = kafka.consumer({ groupId: "raw", maxWaitTimeInMs: 100 })
  await consumer.connect()
  const consumed = new Consumed()
  await listen(consumer, consumed)
  await arrives(producer, consumed)
  await throughput(producer, consumed, partitions, warm_up_records)
  return {
    throughput: (records) => throughput(producer, consumed, partitions, records),
    latency: (per_second) => latency(producer, consumed, partitions, per_second),
    close: async () => {
      await consumer.disconnect()
      await producer.disconnect()
    },
  }
}

class Consumed {
  count = 0
  readonly times_ms: Array<number> = []
}

const value = (number: number) =>
  Buffer.from(`{"type":"event","id":"${number}","name":"sq","data":{"number":${number % 1000}}}`)

const listen = async (consumer: Consumer, consumed: Consumed): Promise<void> => {
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      consumed.count += batch.messages.length
      const now = performance.now()
      for (const { headers } of batch.messages) {
        if (headers?.["sent"] !== undefined) consumed.times_ms.push(now - Number(headers["sent"].toString()))
      }
    },
  })
}

/** Until the consumer has its partitions. */
const arrives = async (producer: Producer, consumed: Consumed): Promise<void> => {
  await producer.send({ topic, messages: [{ value: value(0) }] })
  while (consumed.count === 0) await sleep(10)
}

const throughput = async (
  producer: Producer,
  consumed: Consumed,
  partitions: number,
  records: number,
): Promise<number> => {
  const [before, from] = [consumed.count, performance.now()]
  const batch = (first: number, partition: number) =>
    Array.from({ length: batch_records }, (_, i) => ({
      key: `live-100-${i % 100}`,
      value: value(first + i),
      partition,
    }))
  const produce = async (partition: number) => {
    for (let sent = 0; sent < records / partitions; sent += batch_records) {
      await producer.send({ topic, messages: batch(sent, partition) })
    }
  }
  await Promise.all(Array.from({ length: partitions }, (_, partition) => produce(partition)))
  while (consumed.count - before < records) await sleep(1)
  return (records / (performance.now() - from)) * 1000
}

const latency = async (
  producer: Producer,
  consumed: Consumed,
  partitions: number,
  per_second: number,
): Promise<readonly [number, number]> => {
  const sending: Array<Promise<unknown>> = []
  consumed.times_ms.length = 0
  const from = performance.now()
  while (performance.now() - from < measure_ms) {
    const due = ((performance.now() - from) * per_second) / 1000
    while (sending.length < due) {
      const partition = sending.length % partitions
      const message = { partition, value: value(sending.length), headers: { sent: `${performance.now()}` } }
      sending.push(producer.send({ topic, messages: [message] }))
    }
    await sleep(1)
  }
  await Promise.all(sending)
  await sleep(200)
  const times_ms = consumed.times_ms.slice(consumed.times_ms.length / 3)
  return [quantile(times_ms, 0.5), quantile(times_ms, 0.99)]
}
