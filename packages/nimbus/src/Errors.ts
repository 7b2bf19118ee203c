/** Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`. */
import { Schema } from "effect"

/** The demo did not end with one result for each event, in order; its table says for whom. */
export class DemoFailed extends Schema.TaggedError<DemoFailed>()("DemoFailed", {
  code: Schema.tag("DEMO_FAILED"),
  lost: Schema.Int,
  repeated: Schema.Int,
  outOfOrder: Schema.Int,
}) {
  override get message(): string {
    return `the demo counted ${this.lost} lost, ${this.repeated} repeated, ${this.outOfOrder} out of order`
  }
}
