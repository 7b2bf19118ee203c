/** A deterministic world around the production router and session: see `World.ts`. */
export * from "./Checks.ts"
export * from "./Client.ts"
export * from "./Connection.ts"

export * from "./Gateway.ts"
export * from "./Observation.ts"
export * from "./Parts.ts"
export * from "./Run.ts"
export * from "./Settle.ts"
export * from "./World.ts"
