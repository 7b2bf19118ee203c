/**
 * Messages of a stream into one buffer. The usual result is written by hand, byte for byte as the generated code would
 * (a test holds the two together), for that costs a fourth of it: a replay is made of little else. Everything else comes as the
 * bytes of a message.
 */
const head_bytes = 5
/** What a usual message has at most beside its texts: head, tags, lengths, three numbers. */
const most_bytes = 64
const first_bytes = 16 * 1024

const nameTag = (1 << 3) | 2
const numberTag = 2 << 3
const resultTag = 3 << 3
const logTag = (4 << 3) | 2
const seqTag = 100 << 3
const idTag = (101 << 3) | 2

/** A result whose data is `number` and `result` and nothing else, and that nobody follows. */
export interface UsualResult {
  readonly seq: number
  readonly id: string
  readonly name: string
  /** int32. */
  readonly number: number
  readonly result: number
}

export class FrameWriter {
  private bytes = Buffer.allocUnsafe(first_bytes)
  private at = 0

  /** What was written. Nothing may be written after that. */
  finish(): Buffer {
    return this.bytes.subarray(0, this.at)
  }

  message(message: Uint8Array): void {
    this.reserve(head_bytes + message.length)
    this.head(this.at, message.length)
    this.bytes.set(message, this.at + head_bytes)
    this.at += head_bytes + message.length
  }

  /** Answers false, and has written nothing, where a text is not ASCII: the generated code knows UTF-8. */
  usual({ id, name, number, result, seq }: UsualResult): boolean {
    this.reserve(most_bytes + id.length + name.length)
    const start = this.at
    this.at += head_bytes
    if (!this.ascii(nameTag, name)) return this.rewind(start)
    if (number !== 0) this.int32(numberTag, number)
    if (result !== 0) this.int32(resultTag, result)
    this.varint(logTag)
    this.varint(0)
    this.varint(seqTag)
    this.varint(seq)
    if (!this.ascii(idTag, id)) return this.rewind(start)
    this.head(start, this.at - start - head_bytes)
    return true
  }

  private rewind(start: number): false {
    this.at = start
    return false
  }

  private head(at: number, length: number): void {
    this.bytes[at] = 0
    this.bytes.writeUInt32BE(length, at + 1)
  }

  private ascii(tag: number, text: string): boolean {
    this.varint(tag)
    this.varint(text.length)
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 127) return false
      this.bytes[this.at++] = unit
    }
    return true
  }

  /** A negative one takes ten bytes, as of 64 bits. */
  private int32(tag: number, n: number): void {
    this.varint(tag)
    if (n >= 0) return this.varint(n)
    for (let i = 0; i < 4; i++) this.bytes[this.at++] = ((n >>> (7 * i)) & 127) | 128
    this.bytes[this.at++] = ((n >>> 28) & 15) | 240
    for (let i = 0; i < 4; i++) this.bytes[this.at++] = 255
    this.bytes[this.at++] = 1
  }

  /** Of a safe integer that is not negative. */
  private varint(n: number): void {
    let rest = n
    while (rest > 0x7fffffff) {
      this.bytes[this.at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    while (rest > 127) {
      this.bytes[this.at++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.bytes[this.at++] = rest
  }

  private reserve(length: number): void {
    if (this.at + length <= this.bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(2 * this.bytes.length, this.at + length))
    larger.set(this.bytes.subarray(0, this.at))
    this.bytes = larger
  }
}
