/** An entrance that the test of `Reference.ts` reads. */

/** It says what it is for. */
export const told = 1

export const untold = 2

/** A value and a type may share a name. */
export const Both = ["a", "b"] as const
export type Both = (typeof Both)[number]

export interface Bare {
  readonly a: Both
}
