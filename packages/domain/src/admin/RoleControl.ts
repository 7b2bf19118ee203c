/**
 * Which consumers of the pipeline this process runs, and a switch for each: for the page, where one may watch what
 * happens without them. A process that runs none, as a gateway of a cluster, has the default.
 */
import { Context, Effect } from "effect"
import { NotFound } from "./Errors.ts"
import type { RoleView } from "./Views.ts"

export interface RoleControlShape {
  readonly list: Effect.Effect<ReadonlyArray<RoleView>>
  /**
   * Done once the role runs, or runs no more. To stop one is to interrupt it where it stands, as a crash would: it
   * commits nothing on its way out that it had not committed before.
   */
  set(role: string, isRunning: boolean): Effect.Effect<RoleView, NotFound>
}

export class RoleControl extends Context.Reference<RoleControlShape>("@nimbus/domain/RoleControl", {
  defaultValue: () => ({
    list: Effect.succeed([]),
    set: (role) => Effect.fail(new NotFound({ message: `this process runs no ${role}` })),
  }),
}) {}
