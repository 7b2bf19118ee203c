/**
 * Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`
 * together with what the caller can do about it.
 */
import { Schema } from "effect"

/** The store on disk did not take or give data: disk full, no permission, closed. Nothing of the step was written. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  code: Schema.tag("STORAGE_UNAVAILABLE"),
  operation: Schema.String,
  cause: Schema.Defect(),
}) {}

/** A live process, which may be this one, has the data directory open. Stop it, or name another directory. */
export class DataDirectoryInUse extends Schema.TaggedError<DataDirectoryInUse>()("DataDirectoryInUse", {
  code: Schema.tag("DATA_DIRECTORY_IN_USE"),
  directory: Schema.String,
  /** The process id that the owner wrote down, in its own container's count. */
  owner: Schema.optionalKey(Schema.String),
}) {
  override get message(): string {
    return `the data directory ${this.directory} is in use by process ${this.owner ?? "(unknown)"}`
  }
}

/** The data directory holds no database of ours, or a cut-off one. Restore it from a backup, or begin with an empty one. */
export class DataDirectoryCorrupt extends Schema.TaggedError<DataDirectoryCorrupt>()("DataDirectoryCorrupt", {
  code: Schema.tag("DATA_DIRECTORY_CORRUPT"),
  directory: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `the data directory ${this.directory} can't be read: ${this.reason}`
  }
}
