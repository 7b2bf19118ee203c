/** What an operator does to Kafka, by its own tools: not through Nimbus. */
import { Effect } from "effect"
import { type Admin, ConfigResourceTypes, Kafka, logLevel } from "kafkajs"

const withAdmin = <A>(brokers: ReadonlyArray<string>, use: (admin: Admin) => Promise<A>): Effect.Effect<A> =>
  Effect.promise(async () => {
    const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    try {
      return await use(admin)
    } finally {
      await admin.disconnect()
    }
  })

type Settings = Readonly<Record<string, string>>

const entriesOf = (settings: Settings) => Object.entries(settings).map(([name, value]) => ({ name, value }))

/** Done once nobody is told otherwise. */
export const createTopics = (
  brokers: ReadonlyArray<string>,
  topics: ReadonlyArray<string>,
  settings: Settings = {},
  numPartitions = 1,
) =>
  withAdmin(brokers, (admin) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: topics.map((topic) => ({ topic, numPartitions, configEntries: entriesOf(settings) })),
    }),
  )

export const deleteTopics = (brokers: ReadonlyArray<string>, topics: ReadonlyArray<string>) =>
  withAdmin(brokers, async (admin) => {
    await admin.deleteTopics({ topics: [...topics] })
    while ((await admin.listTopics()).some((topic) => topics.includes(topic))) await Effect.runPromise(Effect.sleep(20))
  })

/** All that is set for the topic: what is not named is the broker's default again. */
export const setTopic = (brokers: ReadonlyArray<string>, topic: string, settings: Settings) =>
  withAdmin(brokers, (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: entriesOf(settings) }],
    }),
  )

export const addPartitions = (brokers: ReadonlyArray<string>, topic: string, count: number) =>
  withAdmin(brokers, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count }] }))

/** How the topic is set now. */
export const topicSettings = (brokers: ReadonlyArray<string>, topic: string): Effect.Effect<Settings> =>
  withAdmin(brokers, async (admin) => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
    })
    return Object.fromEntries(
      resources.flatMap(({ configEntries }) => configEntries).map((one) => [one.configName, one.configValue]),
    )
  })
