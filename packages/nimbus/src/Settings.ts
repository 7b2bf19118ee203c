/** Settings of the embedded server, and of the commands that ask a server. */
import { Config } from "effect"

/** The data directory. */
export const data = Config.NonEmptyString("NIMBUS_DATA").pipe(Config.withDefault("./data"))

/** The server that the operators' commands ask. */
export const adminUrl = Config.option(Config.NonEmptyString("NIMBUS_ADMIN_URL"))
