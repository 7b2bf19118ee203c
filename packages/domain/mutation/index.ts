/** Bugs put in on purpose, to show that they are found. Within this repository only. */
export type { Patched } from "./Hook.ts"
export * from "./Mutant.ts"
export { rules } from "./rules.ts"
export { type ShellPatch, shells } from "./shells.ts"
