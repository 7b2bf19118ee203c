/**
 * Who is next, among those who share one server: start-time fair queueing (Goyal, Vin and Cheng, 1996).
 *
 * ```
 *   begins = max(now, ends)      when a flow begins to wait
 *   the least `begins` is next   and the queue's time becomes that
 *   ends   = begins + cost       once it is known what was served
 * ```
 *
 * 1. A member that has had less than a fair share of late begins at the queue's time, so it is before everybody who has
 *    had more. It waits at most for one serving of each of the others that begin there too.
 * 2. Those who always wait are served equally, by cost, up to the cost of one serving.
 * 3. As long as somebody waits, somebody is next: what one does not use the others get.
 * 4. Newcomers pay an entry: a storm of them, each with a first serving to come, would be before everybody else.
 * 5. Nothing is saved up: a member that asked for nothing has no more than its share afterwards.
 *
 * The cost may be known afterwards alone, as it is of bytes that are yet to be parsed. A flow keeps one number, and the
 * queue nothing of those that do not wait.
 */

/** Something that asks to be served again and again, one serving at a time. */
export class Flow {
  /** When its next serving begins, and when its last ended, by the queue's time. */
  begins = 0
  ends = 0
}

/** Lets each client have its turn, however much waits of one of them. */
export class FairQueue<F extends Flow> {
  /** A binary heap by `begins`. */
  private readonly waiting: Array<F> = []
  private time = 0

  get size(): number {
    return this.waiting.length
  }

  /** One that is new begins as if it had just been served at this cost. */
  enter(flow: F, cost: number): void {
    flow.ends = this.time + cost
  }

  /** Begins to wait. It must not wait already. */
  add(flow: F): void {
    flow.begins = Math.max(this.time, flow.ends)
    this.rise(flow, this.waiting.length)
  }

  /** The next, which waits no longer. */
  take(): F | undefined {
    const [first] = this.waiting
    const last = this.waiting.pop()
    if (first === undefined || last === undefined) return undefined
    if (first !== last) this.sink(last)
    this.time = first.begins
    return first
  }

  /** A flow was served that did not have to wait, as nobody did. */
  begin(flow: F): void {
    flow.begins = Math.max(this.time, flow.ends)
    this.time = flow.begins
  }

  /** What the flow was served last has cost this much. */
  charge(flow: F, cost: number): void {
    flow.ends = flow.begins + cost
  }

  private rise(flow: F, from: number): void {
    let at = from
    while (at > 0) {
      const above = (at - 1) >> 1
      const other = this.waiting[above]!
      if (other.begins <= flow.begins) break
      this.waiting[at] = other
      at = above
    }
    this.waiting[at] = flow
  }

  private sink(flow: F): void {
    const { waiting } = this
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const [a, b] = [waiting[left], waiting[left + 1]]
      const least = b !== undefined && a !== undefined && b.begins < a.begins ? left + 1 : left
      const other = waiting[least]
      if (other === undefined || other.begins >= flow.begins) break
      waiting[at] = other
      at = least
    }
    waiting[at] = flow
  }
}
