/** Commands of one's own over the status machine: what a moderator may do, as a decision about steps. */
import { Ids, type Status } from "@nimbus/domain"
import { Schema } from "effect"

export const Command = Schema.Literals(["send away", "ask to catch up"])
export type Command = typeof Command.Type

/** The steps that a command comes to, from the status that a client has. */
export const decide = (from: Status.Status | undefined, command: Command): ReadonlyArray<Status.Step> => {
  if (from === undefined || from._tag === "OFFLINE") return []
  const { epoch, pod } = from
  if (command === "send away") return [{ _tag: "Disconnect", epoch, pod }]
  return from._tag === "LIVE" ? [{ _tag: "FallBack", epoch, pod }] : []
}

/** A status to begin with: a client that has just connected to `pod`. */
export const connected = (pod: string, now_ms: number): Status.Step => ({
  _tag: "Connect",
  pod: Ids.PodId.make(pod),
  atLeast: Ids.Epoch.make(now_ms),
})
