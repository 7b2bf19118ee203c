/** The numbered invariants of the core's header, asserted in production too: each at one place, by a comparison or two. */
import { InvariantBroken } from "./Errors.ts"

/** Dies where it does not hold. */
export const invariant = (holds: boolean, number: number): void => {
  if (!holds) throw new InvariantBroken({ invariant: number })
}
