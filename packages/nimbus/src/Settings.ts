/** Settings that only the embedded server has. */
import { Config } from "effect"

/** The data directory. */
export const data = Config.NonEmptyString("NIMBUS_DATA").pipe(Config.withDefault("./data"))
