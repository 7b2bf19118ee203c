/**
 * The newest blocks of all partitions, in memory: who reads at the tail never reads the store.
 *
 * Bounded over the whole log. At the bound the oldest block of any partition goes, which is the first of its own
 * partition: so what is left of each partition is always a run of blocks up to its end.
 */
import type { Block } from "./Block.ts"
import { Fifo } from "./Fifo.ts"

export class TailCache {
  readonly #limit_bytes: number
  readonly #order = new Fifo<{ readonly tail: Fifo<Block>; readonly block: Block }>()
  #bytes = 0

  constructor(limit_bytes: number) {
    this.#limit_bytes = limit_bytes
  }

  get bytes(): number {
    return this.#bytes
  }

  add(tail: Fifo<Block>, block: Block): void {
    tail.push(block)
    this.#order.push({ tail, block })
    this.#bytes += weight(block)
    while (this.#bytes > this.#limit_bytes) {
      const oldest = this.#order.shift()
      if (oldest === undefined) return
      this.#bytes -= weight(oldest.block)
      // One that was trimmed meanwhile is no longer the first of its tail.
      if (oldest.tail.peek() === oldest.block) oldest.tail.shift()
    }
  }

  /** Forgets the blocks that end at or before `earliest`. They count until their turn comes. */
  trim(tail: Fifo<Block>, earliest: number): void {
    for (let block = tail.peek(); block !== undefined && block.next <= earliest; block = tail.peek()) tail.shift()
  }
}

/**
 * What a block takes in memory, roughly: its bytes and what the engine adds for the objects of a record, as measured with
 * small ones. Counted too low, a log full of them took up twice the bound.
 */
const weight = (block: Block): number => block.bytes + record_bytes * (block.records.length + 1)

const record_bytes = 320
