/**
 * What a handler may say of itself (`at_once`), what follows for the events that wait, and for those that have no handler:
 * each rule with the patch that takes it out. The world has no names; the simulator finds each.
 */
import type { Patch } from "./Mutant.ts"

const patch = (of: "domain" | "pipeline", rule: string, file: string, find: string, replace = ""): Patch => ({
  package: of,
  rule,
  file,
  find,
  replace,
})

export const handlers = {
  slotsOfAName: patch(
    "domain",
    "of a name with a limit no more handlers run than it has slots",
    "protocol/EventOrder.ts",
    `    if (next.slot !== undefined && !this.slots.has(next.slot)) return this.slotless
`,
  ),
  slotIsFreed: patch(
    "domain",
    "a handler that has ended leaves its slot",
    "protocol/EventOrder.ts",
    `    if (item.slot !== undefined) this.slots.free(item.slot)
`,
  ),
  abandonedSlots: patch(
    "pipeline",
    "what is given up with its partition leaves its slots",
    "internal/Handling.ts",
    `    order.abandon()
`,
  ),
  othersAreTold: patch(
    "pipeline",
    "a slot that is free is told to the other partitions of the process",
    "internal/Handling.ts",
    `      if (item.slot !== undefined) handlers.slots.tell(item.slot)
`,
  ),
  unknownWaits: patch(
    "domain",
    "an event whose name no handler has waits",
    "protocol/EventOrder.ts",
    `return notBefore_ms === undefined || notBefore_ms <= this.now_ms`,
    `return notBefore_ms === undefined || notBefore_ms > 0`,
  ),
} as const satisfies Record<string, Patch>
