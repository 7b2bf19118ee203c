/**
 * What was sent to a client and not acknowledged: seqs and sizes, in order, bounded in results and bytes.
 *
 * The byte bound is checked before a result is added, so one result is always let through, however large.
 */
import type { Cursor, Seq } from "../Ids.ts"

export class Window {
  private readonly max_results: number
  private readonly max_bytes: number
  private seqs: Array<Seq> = []
  private sizes: Array<number> = []
  private first = 0
  private bytes = 0

  constructor(max_results: number, max_bytes: number) {
    this.max_results = max_results
    this.max_bytes = max_bytes
  }

  get results(): number {
    return this.seqs.length - this.first
  }

  get isOpen(): boolean {
    return this.results < this.max_results && this.bytes < this.max_bytes
  }

  get freeResults(): number {
    return this.max_results - this.results
  }

  get freeBytes(): number {
    return this.max_bytes - this.bytes
  }

  /** Of what was sent up to here nothing awaits its ack. */
  isAcknowledged(seq: Cursor): boolean {
    return this.first === this.seqs.length || this.seqs[this.first]! > seq
  }

  add(seq: Seq, bytes: number): void {
    this.seqs.push(seq)
    this.sizes.push(bytes)
    this.bytes += bytes
  }

  /** Everything up to `seq` is the client's. */
  acknowledge(seq: Cursor): void {
    while (this.first < this.seqs.length && this.seqs[this.first]! <= seq) this.bytes -= this.sizes[this.first++]!
    if (this.first === this.seqs.length) this.compact()
    else if (this.first >= 1024 && this.first * 2 > this.seqs.length) this.compact()
  }

  private compact(): void {
    this.seqs = this.seqs.slice(this.first)
    this.sizes = this.sizes.slice(this.first)
    this.first = 0
  }
}
