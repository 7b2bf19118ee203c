/** First in, first out, with access by index. Taking is constant time: the array is cut only from time to time. */
export class Fifo<A extends object> {
  #items: Array<A | undefined> = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  /** The item at `index` from the oldest on; the caller stays below `length`. */
  at(index: number): A {
    const item = this.#items[this.#head + index]
    if (item === undefined) throw new RangeError(`no item ${index} of ${this.length}`)
    return item
  }

  peek(): A | undefined {
    return this.#items[this.#head]
  }

  push(item: A): void {
    this.#items.push(item)
  }

  shift(): A | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) this.clear()
    else if (this.#head >= cutAfter && this.#head * 2 >= this.#items.length) this.#cut()
    return item
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }

  #cut(): void {
    this.#items = this.#items.slice(this.#head)
    this.#head = 0
  }
}

const cutAfter = 1_024
