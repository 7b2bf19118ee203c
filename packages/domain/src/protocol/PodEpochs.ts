/**
 * The epochs that one pod has: it never uses one of its own twice, whatever the registry forgets and whatever the clock
 * does. For a session knows its barrier by pod and epoch alone: with an epoch of an older session it would take that
 * one's barrier for its own, and be LIVE before all that is older has come out.
 *
 * ```
 *   asked = ask(now) ──▶ Registry.connect(clientId, pod, asked) ──▶ epoch ──▶ take(asked, epoch)? or ask again
 * ```
 *
 * Invariants:
 * 1. No two asks are the same, and each is above every epoch that was taken before it.
 * 2. An epoch above its ask is the registry's own choice, stored + 1. It is taken only if it is above all that were asked
 *    for or taken meanwhile: a registry that rolled back between two connects may choose the same twice.
 */
import { Epoch } from "./Ids.ts"

/** The epochs of one pod: none is used for two sessions. */
export class PodEpochs {
  private last = 0

  /** What the next session's epoch must be at least. */
  ask(now_ms: number): Epoch {
    this.last = Math.max(this.last + 1, now_ms)
    return Epoch.make(this.last)
  }

  /** Whether a session may have this epoch, which the registry has answered. `false`: ask again. */
  take(asked: Epoch, epoch: Epoch): boolean {
    if (epoch > asked && epoch <= this.last) return false
    this.last = Math.max(this.last, epoch)
    return true
  }
}
