/** The admin API as data: its shapes, its errors and its endpoints; and the ids that it is asked by. */
export { ClientId, EventId, PodId, Seq } from "../protocol/Ids.ts"
export { StatusName } from "../protocol/Status.ts"
export * from "./Api.ts"
export * from "./Errors.ts"
export * from "./JourneyHops.ts"
export * from "./Operations.ts"
export * from "./RoleControl.ts"
export * from "./Views.ts"
