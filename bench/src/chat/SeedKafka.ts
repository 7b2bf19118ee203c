/** What scalable-chat-app has on the other side of the topic: a consumer that reads all of it, and a producer. */
import { Kafka, logLevel, type Message } from "kafkajs"

export interface Read {
  readonly key: string
  readonly value: unknown
}

const kafkaAt = (brokers: string) => new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING })

/** From the beginning. It knows a record's key and value alone, and that the value is JSON. */
export const seedConsumer = async (brokers: string, topic: string) => {
  const consumer = kafkaAt(brokers).consumer({ groupId: `seed-${topic}` })
  const read: Array<Read> = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message: { key, value } }) => {
      read.push({ key: String(key), value: JSON.parse(String(value)) })
    },
  })
  return { read, close: () => consumer.disconnect() }
}

export const seedProduce = async (brokers: string, topic: string, messages: Array<Message>): Promise<void> => {
  const producer = kafkaAt(brokers).producer()
  await producer.connect()
  await producer.send({ topic, messages })
  await producer.disconnect()
}
