/** The archive of the domain in DynamoDB. */
export { DynamoRefused, DynamoUnavailable } from "../Errors.ts"
export { DynamoDatabase } from "./Database.ts"
export { config as dynamoConfig, type DynamoSettings } from "./Settings.ts"
export * as DynamoArchive from "./Archive.ts"
