/**
 * Which consumers of the pipeline this process runs, and a switch for each: for the page, where one may watch what
 * happens without them. A process that runs none, as a gateway of a cluster, has the default.
 */
import { Context, Effect } from "effect"
import { NotFound, type NotPossible } from "./Errors.ts"
import type { RoleView } from "./Views.ts"

/** The methods of `RoleControl`. */
export interface RoleControlShape {
  readonly list: Effect.Effect<ReadonlyArray<RoleView>>
  /** Done once the role runs, or runs no more. To stop one is to let it crash: it is interrupted where it stands. */
  set(role: string, isRunning: boolean): Effect.Effect<RoleView, NotFound | NotPossible>
}

/** Lists the consumers that this process runs, and stops and starts them. By default it runs none. */
export class RoleControl extends Context.Reference<RoleControlShape>("@nimbus/domain/RoleControl", {
  defaultValue: () => ({
    list: Effect.succeed([]),
    set: (role) => Effect.fail(new NotFound({ message: `this process runs no ${role}` })),
  }),
}) {}
