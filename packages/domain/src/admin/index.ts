/** The admin API as data: its shapes, its errors and its endpoints. */
export * from "./Api.ts"
export * from "./Errors.ts"
export * from "./JourneyHops.ts"
export * from "./RoleControl.ts"
export * from "./Views.ts"
