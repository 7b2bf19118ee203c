/**
 * Bytes that come in pieces, gathered in one buffer. A peer chooses how small its pieces are, and one of a byte takes up a
 * hundred in memory; to put each behind the others by a copy of them all costs a time that grows with the square of what has come.
 * So room is doubled where there is none left.
 */
const nothing = Buffer.alloc(0)

export class Gathered {
  #room: Buffer = nothing
  #length = 0

  get length(): number {
    return this.#length
  }

  /** What has come. It is not written over: what comes later goes behind it. */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.#length)
  }

  add(piece: Buffer): void {
    const length = this.#length + piece.length
    // The first one is often all there is.
    if (this.#length === 0) this.#room = piece
    else if (length > this.#room.length) this.#room = larger(this.bytes, Math.max(length, 2 * this.#room.length))
    if (this.#length > 0) this.#room.set(piece, this.#length)
    this.#length = length
  }

  /** What has come, which is not held any more. */
  take(): Buffer {
    const { bytes } = this
    this.#room = nothing
    this.#length = 0
    return bytes
  }
}

const larger = (bytes: Buffer, room_bytes: number): Buffer => {
  const room = Buffer.allocUnsafeSlow(room_bytes)
  room.set(bytes)
  return room
}
