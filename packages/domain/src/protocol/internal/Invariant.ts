/** The numbered invariants of the cores' headers, asserted in production too: each at one place, by a comparison or two. */
import { InvariantBroken } from "../../Errors.ts"

/** Dies where it does not hold. `core`: whose header it is. */
export const invariant = (holds: boolean, core: InvariantBroken["core"], number: number): void => {
  if (!holds) throw new InvariantBroken({ core, invariant: number })
}
