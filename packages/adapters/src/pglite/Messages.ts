/**
 * Splits the bytes of a client of PostgreSQL into messages, which PGlite accepts one at a time. The first message has
 * no type. The message that ends a connection is left out, because PostgreSQL would then end its process, which is this
 * one.
 */
const terminate = "X".charCodeAt(0)

export class Messages {
  private rest = Buffer.alloc(0)
  private hasBegun = false

  /** Returns the messages that these bytes complete. */
  push(bytes: Uint8Array): ReadonlyArray<Uint8Array> {
    this.rest = this.rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.rest, bytes])
    const messages: Array<Uint8Array> = []
    for (;;) {
      const length = this.lengthOfFirst()
      if (length === undefined || length > this.rest.length) return messages
      if (!this.hasBegun || this.rest[0] !== terminate) messages.push(new Uint8Array(this.rest.subarray(0, length)))
      this.hasBegun = true
      this.rest = this.rest.subarray(length)
    }
  }

  private lengthOfFirst(): number | undefined {
    const head = this.hasBegun ? 1 : 0
    return this.rest.length < head + 4 ? undefined : head + this.rest.readUInt32BE(head)
  }
}
