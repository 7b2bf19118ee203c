/** The hops of a journey in words, each with the rule of docs/protocol.md that makes it. */
import type { Journey } from "@nimbus/domain"

type Words = Readonly<Record<Journey.StepName, string>>

export const titles: Words = {
  accepted: "Accepted",
  logged: "Logged",
  handled: "Handled",
  routed: "Routed",
  diverted: "Diverted",
  shelved: "Shelved",
  put: "Put into the mailbox",
  pushed: "Pushed",
  sent: "Sent",
  acknowledged: "Acknowledged",
}

export const rules: Words = {
  accepted: "The gateway took it from its sender, for the log.",
  logged: "It has its place in the events topic, and so its seq.",
  handled: "Its handler answered; it has one result, whatever happens.",
  routed: "Its client is LIVE and has a route: the result goes to its gateway as a push.",
  diverted: "It was on its way and not acknowledged when its client's route was given up: it goes to the mailbox.",
  shelved: "Its client has no route: the result goes to the mailbox.",
  put: "The replay consumer put it into the mailbox, by its seq.",
  pushed: "The gateway's channel had it.",
  sent: "The gateway handed it to the client's connection.",
  acknowledged: "The client said that it has everything up to here.",
}
