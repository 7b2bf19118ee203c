/**
 * A consumer group on one partition: its owner, its commit, and earlier owners that have not noticed yet. Those go on
 * doing whatever an owner does; only their commits are refused.
 */
export class Group<W, C> {
  owner: W
  readonly zombies: Array<W> = []
  committed: C | undefined = undefined
  private readonly max_zombies: number

  constructor(owner: W, max_zombies: number) {
    this.owner = owner
    this.max_zombies = max_zombies
  }

  /** The owner first. */
  get workers(): ReadonlyArray<W> {
    return [this.owner, ...this.zombies]
  }

  /** A new owner; the one before lives on as a zombie, and the oldest zombie dies where there are too many. */
  replace(owner: W): void {
    this.zombies.push(this.owner)
    if (this.zombies.length > this.max_zombies) this.zombies.shift()
    this.owner = owner
  }

  /** A zombie gets the partition back, with all that it still has in memory. */
  restore(zombie: W): void {
    this.zombies.splice(this.zombies.indexOf(zombie), 1, this.owner)
    this.owner = zombie
  }

  /** Whether the commit held. */
  commit(worker: W, committed: C): boolean {
    if (worker !== this.owner) return false
    this.committed = committed
    return true
  }
}
