/**
 * Bytes that strangers have brought of what is not whole yet: a message, or the body of a request. Each is bounded
 * separately, may come slowly, and there may be many, so there is a bound for all of them together. Beyond it, whoever
 * has brought the most is ended, so those with little go on. Nothing was done yet for what is not whole, so it may be
 * sent again.
 */
export class Unfinished<Owner> {
  readonly #most_bytes: number
  readonly #end: (owner: Owner) => void
  readonly #brought = new Map<Owner, number>()
  /** What is whole, and is held until it is done with. */
  readonly #whole = new Set<Owner>()
  #sum_bytes = 0

  constructor(most_bytes: number, end: (owner: Owner) => void) {
    this.#most_bytes = most_bytes
    this.#end = end
  }

  bytesOf(owner: Owner): number {
    return this.#brought.get(owner) ?? 0
  }

  /** So much of it is held now. */
  set(owner: Owner, bytes: number): void {
    if (bytes === 0) return this.remove(owner)
    this.#sum_bytes += bytes - this.bytesOf(owner)
    this.#brought.set(owner, bytes)
    while (this.#sum_bytes > this.#most_bytes) {
      const largest = this.#largest
      if (largest === undefined) return
      this.remove(largest)
      this.#end(largest)
    }
  }

  /** What it has brought is whole: it counts until it is removed, and is not ended any more. */
  finish(owner: Owner): void {
    if (this.#brought.has(owner)) this.#whole.add(owner)
  }

  remove(owner: Owner): void {
    this.#sum_bytes -= this.bytesOf(owner)
    this.#brought.delete(owner)
    this.#whole.delete(owner)
  }

  get #largest(): Owner | undefined {
    let [largest, most_bytes]: [Owner | undefined, number] = [undefined, 0]
    for (const [owner, bytes] of this.#brought) {
      if (bytes > most_bytes && !this.#whole.has(owner)) [largest, most_bytes] = [owner, bytes]
    }
    return largest
  }
}
