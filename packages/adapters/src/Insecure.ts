import { Config } from "effect"

/** Plain `http` to other machines, for those who know that nobody else is there. */
export const insecure = Config.Boolean("NIMBUS_INSECURE").pipe(Config.withDefault(false))
