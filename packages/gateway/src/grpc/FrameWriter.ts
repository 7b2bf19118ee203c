/**
 * Messages of a stream into one buffer. A result, or a part of a task, that is no error and that is not sampled is written
 * by hand, byte for byte as the generated code would (a test holds the two together), for that costs a fraction of it: a
 * replay is made of little else. Everything else comes as the bytes of a message.
 */
const head_bytes = 5
/** What a result has at most beside its texts: head, tags, three numbers. */
const most_bytes = 64
/** Of the tag and the length of a text. */
const textHead_bytes = 12
/** Up to here a text that is ASCII is written faster one by one. */
const short_chars = 32
const first_bytes = 16 * 1024

const nameTag = (1 << 3) | 2
const numberTag = 2 << 3
const resultTag = 3 << 3
const logTag = (4 << 3) | 2
const seqTag = 100 << 3
const idTag = (101 << 3) | 2
const dataTag = (102 << 3) | 2
const taskTag = (106 << 3) | 2
const ofTag = (1 << 3) | 2
const attemptTag = 2 << 3
const partTag = 3 << 3

export interface PlainResult {
  readonly seq: number
  readonly id: string
  readonly name: string
  /** int32. */
  readonly number: number
  readonly result: number
  /** The data, where these two do not say all of it. */
  readonly dataJson: string | undefined
  /** It is this part of a task. */
  readonly part: PartOfTask | undefined
}

/** A part of the answer of a task. */
export interface PartOfTask {
  readonly of: string
  readonly attempt: number
  readonly part: number
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

  result({ dataJson, id, name, number, part, result, seq }: PlainResult): void {
    this.reserve(most_bytes)
    const start = this.at
    this.at += head_bytes
    if (name !== "") this.text(nameTag, name)
    if (number !== 0) this.int32(numberTag, number)
    if (result !== 0) this.int32(resultTag, result)
    this.varint(logTag)
    this.varint(0)
    this.varint(seqTag)
    this.varint(seq)
    if (id !== "") this.text(idTag, id)
    if (dataJson !== undefined) this.text(dataTag, dataJson)
    if (part !== undefined) this.part(part)
    this.head(start, this.at - start - head_bytes)
  }

  private part({ attempt, of, part }: PartOfTask): void {
    const of_bytes = Buffer.byteLength(of)
    this.varint(taskTag)
    this.varint(fieldSize(of_bytes) + of_bytes + fieldSize(attempt) + fieldSize(part))
    if (of !== "") this.text(ofTag, of)
    if (attempt !== 0) this.int32(attemptTag, attempt)
    if (part !== 0) this.int32(partTag, part)
  }

  private head(at: number, length: number): void {
    this.bytes[at] = 0
    this.bytes.writeUInt32BE(length, at + 1)
  }

  /** Leaves as much room behind it as there was before. */
  private text(tag: number, text: string): void {
    const isShort = text.length <= short_chars && isAscii(text)
    const length = isShort ? text.length : Buffer.byteLength(text)
    this.reserve(most_bytes + textHead_bytes + length)
    this.varint(tag)
    this.varint(length)
    if (!isShort) this.bytes.write(text, this.at)
    else for (let i = 0; i < length; i++) this.bytes[this.at + i] = text.charCodeAt(i)
    this.at += length
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

/** Of a tag of one byte and a number, or of the length of a text; a number that is 0 is not there. */
const fieldSize = (n: number): number => {
  if (n === 0) return 0
  let bytes = 2
  for (let rest = n; rest > 127; rest = Math.floor(rest / 128)) bytes++
  return bytes
}

const isAscii = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}
