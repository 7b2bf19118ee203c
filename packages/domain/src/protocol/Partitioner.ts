/**
 * The partition of a client, as Kafka's default partitioner has it: murmur2 of the key, made positive, modulo
 * the partition count. One function for producers, mailbox keys and ack channels alike.
 *
 * Source of the algorithm: `org.apache.kafka.common.utils.Utils#murmur2` (seed 0x9747b28c).
 */
const seed = 0x9747b28c
const m = 0x5bd1e995

/** Kafka's 32-bit murmur2 of some bytes, or of the first `length` of them, as a signed integer. */
export const murmur2 = (data: Uint8Array, length = data.length): number => {
  let h = seed ^ length
  let i = 0
  for (; i + 4 <= length; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length & 3
  if (rest === 3) h ^= data[i + 2]! << 16
  if (rest >= 2) h ^= data[i + 1]! << 8
  if (rest >= 1) h = Math.imul(h ^ data[i]!, m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

const encoder = new TextEncoder()
const scratch = new Uint8Array(256)

/** Nearly all keys are short and ASCII: asking the encoder costs ten times what it takes to copy them. */
const hashOf = (key: string): number => {
  const { length } = key
  if (length > scratch.length) return murmur2(encoder.encode(key))
  for (let i = 0; i < length; i++) {
    const code = key.charCodeAt(i)
    if (code > 0x7f) return murmur2(encoder.encode(key))
    scratch[i] = code
  }
  return murmur2(scratch, length)
}

/** The partition, from 0, of a record with this key among `partitions` (at least 1). */
export const partitionOf = (key: string, partitions: number): number => (hashOf(key) & 0x7fffffff) % partitions
