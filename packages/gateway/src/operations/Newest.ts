/** The `count` items with the highest number of all that are added, in memory for twice as many. */
export class Newest<A> {
  private readonly count: number
  private readonly rank: (item: A) => number
  private kept: Array<A> = []

  constructor(count: number, rank: (item: A) => number) {
    this.count = count
    this.rank = rank
  }

  add(item: A): void {
    this.kept.push(item)
    if (this.kept.length > 2 * this.count) this.kept = this.top()
  }

  /** The highest first; of equals the one that came first. */
  get items(): ReadonlyArray<A> {
    return this.top()
  }

  private top(): Array<A> {
    return this.kept.sort((a, b) => this.rank(b) - this.rank(a)).slice(0, this.count)
  }
}
