/**
 * The rules that only direct delivery and observers of the registry have, each with the patch that removes it from the
 * code. The world has neither. The simulator finds each: see docs/mutations.md.
 */
import { domainPatch as patch, type Patch } from "./Mutant.ts"

export const direct = {
  leavesAtTheBound: patch(
    "direct delivery: a session whose window is full leaves the log, and returns for the same record",
    "protocol/DirectSession.ts",
    `      state.position = record.offset
      state.following = false
      out.push({ _tag: "Leave" })
      return`,
    `      continue`,
  ),
  factIsAcknowledged: {
    ...patch(
      "direct delivery: the saved position is below everything that is not acknowledged",
      "protocol/DirectSession.ts",
      `isAllAcknowledged(state) ? state.position : state.offsets[0]`,
      `state.position`,
    ),
    faults: ["sockets cut", "gateways crash", "clients never ack"],
  },
  settledBeforeTheLog: patch(
    "direct delivery: a session reads the log only when its mailbox is settled",
    "protocol/DirectSession.ts",
    `  } else if (!state.settling && state.handover === undefined) {`,
    `  } else if (state.handover === undefined) {
    state.position = Number.MAX_SAFE_INTEGER
  } else if (!state.settling && state.handover === undefined) {`,
  ),
  fromItsPosition: patch(
    "direct delivery: a session that returns to the log receives everything from its position on",
    "protocol/Feed.ts",
    `if (next !== undefined && position >= recentFrom(state)) return`,
    `if (next !== undefined) return`,
  ),
  heldBounded: patch(
    "the held pushes are bounded",
    "protocol/internal/Held.ts",
    `if (this.results >= this.max_results || this.bytes + push.value.length > this.max_bytes) return false
`,
  ),
  offlineWithoutLease: patch(
    "a client whose pod has no lease counts as OFFLINE",
    "protocol/Status.ts",
    `livePods.has(status.pod) ? status._tag : "OFFLINE"`,
    `livePods.size >= 0 ? status._tag : "OFFLINE"`,
  ),
} as const satisfies Record<string, Patch>
