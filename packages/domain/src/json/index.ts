/** JSON that arrives from outside: parsed within bounds, and without changing what a number says. */
export * from "./Digits.ts"
export * from "./ExactJson.ts"
export * from "./ExactNumbers.ts"
export * from "./JsonLimits.ts"
export * from "./JsonMembers.ts"
export * from "./JsonText.ts"
export * from "./Nesting.ts"
