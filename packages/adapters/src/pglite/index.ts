/** The archive of the domain on PGlite, which is PostgreSQL in this process. */
export { PgliteUnavailable } from "../Errors.ts"
export * as PgliteArchive from "./Archive.ts"
