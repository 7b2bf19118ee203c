/** Other producers, as they are: kafkajs's own, with every codec, and transactions. */
import { gzipSync, zstdCompressSync } from "node:zlib"
import { Effect, type Scope } from "effect"
import { CompressionCodecs, CompressionTypes, Kafka, logLevel, type Message, type Producer } from "kafkajs"
import { compressFrameSync } from "lz4-napi"
import { compressSync } from "snappy"

const setCodec = (type: CompressionTypes, compress: (bytes: Buffer) => Buffer) =>
  Object.assign(CompressionCodecs, {
    [type]: () => ({
      compress: async ({ buffer }: { readonly buffer: Buffer }) => compress(buffer),
      // kafkajs reads nothing here.
      decompress: async (bytes: Buffer) => bytes,
    }),
  })

/** By their names for `compression.type`. Snappy is one raw block, as all but Java's producers write it. */
export const codecs: Readonly<
  Record<string, { readonly type: CompressionTypes; readonly compress: (bytes: Buffer) => Buffer }>
> = {
  gzip: { type: CompressionTypes.GZIP, compress: (bytes) => gzipSync(bytes) },
  snappy: { type: CompressionTypes.Snappy, compress: (bytes) => compressSync(bytes) },
  lz4: { type: CompressionTypes.LZ4, compress: (bytes) => compressFrameSync(bytes) },
  zstd: { type: CompressionTypes.ZSTD, compress: (bytes) => zstdCompressSync(bytes) },
}

for (const { compress, type } of Object.values(codecs)) setCodec(type, compress)

const kafka = (broker: string) => new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING })

/** A producer for as long as the scope lives. */
export const foreignProducer = (
  broker: string,
  options: { readonly transactionalId?: string; readonly transactionTimeout?: number } = {},
): Effect.Effect<Producer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { transactionalId } = options
      const producer = kafka(broker).producer({
        ...options,
        ...(transactionalId !== undefined && { idempotent: true, maxInFlightRequests: 1 }),
      })
      await producer.connect()
      return producer
    }),
    (producer) => Effect.promise(() => producer.disconnect()),
  )

/** Puts messages into partition 0 of a topic, in one batch. */
export const produce = (
  producer: Pick<Producer, "send">,
  topic: string,
  messages: ReadonlyArray<Omit<Message, "partition">>,
  compression: CompressionTypes = CompressionTypes.None,
) =>
  Effect.promise(() =>
    producer.send({ topic, compression, messages: messages.map((message) => ({ ...message, partition: 0 })) }),
  )
