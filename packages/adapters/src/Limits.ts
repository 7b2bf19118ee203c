/**
 * Every bound of this package: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | lmdb: tables | opening one more fails with `StorageUnavailable` |
 */
export const lmdbLimits = {
  /** Named tables in one environment. */
  tables: 32,
}
