/**
 * Which records of a partition are done, and how far the commit may go: a queue of marks in log order.
 *
 * Each record takes the next index. The commit is the offset after the last record of the done prefix. Repeats are done
 * when they are read: they are not marked here, but `passed` by with the mark before them.
 */
import type { ClientId } from "../Ids.ts"

interface Mark {
  /** Where the commit is once this and all before it are done: after it, and after what needs no mark behind it. */
  next: number
  /** Whose push it is; `undefined` once it goes to the backlog. */
  pushedTo: ClientId | undefined
  readonly tick: number
  done: boolean
}

export class Outstanding {
  private marks: Array<Mark> = []
  /** The index of `marks[0]`. */
  private base = 0
  /** Position in `marks` of the first that is not done. */
  private first = 0
  private commit: number | undefined = undefined

  /** From the first that is not done on. Of those before it at most as many are kept, or 4,096. */
  get size(): number {
    return this.marks.length - this.first
  }

  /** A record that was pushed. */
  pushed(offset: number, pushedTo: ClientId, tick: number): number {
    return this.add({ next: offset + 1, pushedTo, tick, done: false })
  }

  /** A record that goes to the backlog or to quarantine. */
  spilled(offset: number): number {
    return this.add({ next: offset + 1, pushedTo: undefined, tick: 0, done: false })
  }

  /** Where the commit does not come before the first that is not done is. */
  get blocked(): number | undefined {
    return this.marks[this.first]?.next
  }

  /** Everything below `next` was read: what has no mark is done. */
  passed(next: number): void {
    if (this.first === this.marks.length) this.commit = next
    else this.marks[this.marks.length - 1]!.next = next
  }

  /** A pushed record goes to the backlog after all. */
  diverted(index: number): void {
    this.marks[index - this.base]!.pushedTo = undefined
  }

  done(index: number): void {
    const mark = this.marks[index - this.base]!
    mark.done = true
    mark.pushedTo = undefined
    if (index - this.base === this.first) this.advance()
  }

  /** The commit, if it has moved. */
  takeCommit(): number | undefined {
    const commit = this.commit
    this.commit = undefined
    return commit
  }

  /** The client of the oldest push that is not done. */
  oldestPushed(): ClientId | undefined {
    for (let i = this.first; i < this.marks.length; i++) {
      const { pushedTo } = this.marks[i]!
      if (pushedTo !== undefined) return pushedTo
    }
    return undefined
  }

  /** The clients that have not acknowledged a push of tick `tick` or before. */
  pushedBefore(tick: number): ReadonlySet<ClientId> {
    const clients = new Set<ClientId>()
    for (let i = this.first; i < this.marks.length; i++) {
      const mark = this.marks[i]!
      if (mark.pushedTo === undefined) continue
      // Pushes are marked in the order of time: what follows is younger.
      if (mark.tick > tick) break
      clients.add(mark.pushedTo)
    }
    return clients
  }

  private add(mark: Mark): number {
    this.marks.push(mark)
    return this.base + this.marks.length - 1
  }

  private advance(): void {
    let first = this.first
    while (first < this.marks.length && this.marks[first]!.done) {
      this.commit = this.marks[first]!.next
      first++
    }
    this.first = first
    if (first === this.marks.length) this.drop(first)
    else if (first >= 4096 && first * 2 > this.marks.length) this.drop(first)
  }

  private drop(count: number): void {
    this.marks = count === this.marks.length ? [] : this.marks.slice(count)
    this.base += count
    this.first -= count
  }
}
