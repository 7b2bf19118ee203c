/** The newest so many of what came: bounded, whatever comes. At the bound the oldest is forgotten. */
export class Ring<A> {
  private readonly capacity: number
  private items: Array<A> = []
  /** Where the oldest stands, once it is full. */
  private first = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  push(item: A): void {
    if (this.items.length < this.capacity) {
      this.items.push(item)
      return
    }
    this.items[this.first] = item
    this.first = (this.first + 1) % this.capacity
  }

  /** Oldest first. */
  toArray(): Array<A> {
    return [...this.items.slice(this.first), ...this.items.slice(0, this.first)]
  }

  get newest(): A | undefined {
    return this.items.length < this.capacity ? this.items.at(-1) : this.items.at(this.first - 1)
  }

  clear(): void {
    this.items = []
    this.first = 0
  }
}
