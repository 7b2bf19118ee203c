/** Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`. */
import { Schema } from "effect"

/** The role is named, and there is nowhere to write to. */
export class NoStorage extends Schema.TaggedError<NoStorage>()("NoStorage", {
  code: Schema.tag("NO_STORAGE"),
}) {
  override get message(): string {
    return "NIMBUS_ROLES names storage-writer, but NIMBUS_STORAGE names no store; set it to postgres, dynamodb or both"
  }
}
