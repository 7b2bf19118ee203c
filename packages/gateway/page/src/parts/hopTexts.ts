/** The hops of a journey in words. */
import type { Journey } from "@nimbus/domain/protocol"

export const titles: Readonly<Record<Journey.StepName, string>> = {
  accepted: "Accepted",
  logged: "Logged",
  handled: "Handled",
  routed: "Routed",
  diverted: "Diverted",
  shelved: "Spilled",
  put: "Put into the mailbox",
  pushed: "Pushed",
  sent: "Sent",
  acknowledged: "Acknowledged",
}
