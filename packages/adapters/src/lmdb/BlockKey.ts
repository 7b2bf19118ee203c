/**
 * The key of a block. It has everything about the block except the records, so that bounds, sizes and ages are found by
 * reading keys only.
 *
 * ```
 *   topic u16, partition u16, from u64 │ next u64, published last f64, bytes before f64, bytes u32
 *   ────────── it sorts by this ───────┘
 * ```
 *
 * Numbers are big-endian. `before` is the size of all earlier blocks of the partition, including dropped ones. The size
 * of consecutive blocks is therefore the difference of two keys.
 */
export interface BlockKey {
  readonly topic: number
  readonly partition: number
  readonly from: number
  readonly next: number
  /** The time at which its last record was published, in ms since 1970. */
  readonly timestamp: number
  readonly bytes_before: number
  readonly bytes: number
}

export const encodeKey = (key: BlockKey): Uint8Array => {
  const bytes = new Uint8Array(keyBytes)
  const view = new DataView(bytes.buffer)
  setPrefix(view, key.topic, key.partition, key.from)
  setUint64(view, 12, key.next)
  view.setFloat64(20, key.timestamp)
  view.setFloat64(28, key.bytes_before)
  view.setUint32(36, key.bytes)
  return bytes
}

/** Sorts just before the key of a block at `from`. */
export const prefix = (topic: number, partition: number, from: number): Uint8Array => {
  const bytes = new Uint8Array(prefixBytes)
  setPrefix(new DataView(bytes.buffer), topic, partition, from)
  return bytes
}

export const decodeKey = (bytes: Uint8Array): BlockKey => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    topic: view.getUint16(0),
    partition: view.getUint16(2),
    from: getUint64(view, 4),
    next: getUint64(view, 12),
    timestamp: view.getFloat64(20),
    bytes_before: view.getFloat64(28),
    bytes: view.getUint32(36),
  }
}

/** The number of a partition has 16 bits. */
export const maxPartitions = 65_535

const prefixBytes = 12
const keyBytes = 40
const high = 2 ** 32

const setPrefix = (view: DataView, topic: number, partition: number, from: number): void => {
  view.setUint16(0, topic)
  view.setUint16(2, partition)
  setUint64(view, 4, from)
}

const setUint64 = (view: DataView, at: number, n: number): void => {
  view.setUint32(at, Math.floor(n / high))
  view.setUint32(at + 4, n % high)
}

const getUint64 = (view: DataView, at: number): number => view.getUint32(at) * high + view.getUint32(at + 4)
