/** CRC-32C (Castagnoli), which every batch of Kafka carries. Eight bytes at a time, by eight tables. */

/** Of `bytes[from, to)`, as an unsigned 32-bit number. */
export const crc32c = (bytes: Uint8Array, from: number, to: number): number => {
  let crc = -1
  let i = from
  for (; i + 8 <= to; i += 8) {
    const low = crc ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
    crc =
      tables[0x700 | (low & 0xff)]! ^
      tables[0x600 | ((low >>> 8) & 0xff)]! ^
      tables[0x500 | ((low >>> 16) & 0xff)]! ^
      tables[0x400 | (low >>> 24)]! ^
      tables[0x300 | bytes[i + 4]!]! ^
      tables[0x200 | bytes[i + 5]!]! ^
      tables[0x100 | bytes[i + 6]!]! ^
      tables[bytes[i + 7]!]!
  }
  for (; i < to; i++) crc = tables[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  return (crc ^ -1) >>> 0
}

/** Table `k` is what a byte does to the checksum `k` bytes later. */
const makeTables = (): Int32Array => {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    tables[byte] = crc
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256]!
    tables[i] = tables[before & 0xff]! ^ (before >>> 8)
  }
  return tables
}

const tables = makeTables()
