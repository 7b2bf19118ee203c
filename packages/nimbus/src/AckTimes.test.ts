/** Bounds of two packages that must fit each other. */
import { assert, it } from "@effect/vitest"
import { gatewayLimits } from "@nimbus/gateway"
import { resultConsumerLimits } from "@nimbus/pipeline"

/** For two round trips to a client, and what else takes a moment. */
const slack_ms = 3_000

it("a router waits longer for an ack than a gateway holds it back: a client under a steady trickle stays LIVE", () => {
  const { look_ms, mark_ms, quiet_ms } = gatewayLimits.auto_ack
  const { router, tick_ms } = resultConsumerLimits
  assert.isAtLeast(router.ack_timeout_ticks * tick_ms, mark_ms + quiet_ms + 2 * look_ms + slack_ms)
})
