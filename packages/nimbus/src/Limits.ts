/**
 * Every bound of this package: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | handlers module: load | the start is refused |
 */

/** The module of `NIMBUS_HANDLERS`. */
export interface HandlersModuleLimits {
  /** How long the module may take to load, with all that it waits for at its top level. Beyond: the start is refused. */
  readonly load_timeout_ms: number
}

/** The defaults. */
export const handlersModuleLimits: HandlersModuleLimits = { load_timeout_ms: 60_000 }
