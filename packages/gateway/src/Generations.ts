/**
 * A map that remembers so many at most: those that were set most lately, and at least half as many as its bound. Beyond, the
 * older half is forgotten at once. A map that drops its first for each that it takes would have to look for its first among
 * all that it has dropped.
 */
export class Generations<V> {
  readonly #most: number
  #young = new Map<string, V>()
  #old = new Map<string, V>()

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): V | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  set(key: string, value: V): void {
    this.#old.delete(key)
    this.#young.set(key, value)
    if (2 * this.#young.size >= this.#most) this.turn()
  }

  /** Forgets what was not set since the last turn. */
  turn(): void {
    this.#old = this.#young
    this.#young = new Map()
  }

  *keys(): Iterable<string> {
    yield* this.#young.keys()
    yield* this.#old.keys()
  }

  delete(key: string): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }
}
