/** One hop of a journey: what, when, by whom, and by which rule of docs/protocol.md. */
import type { JourneyHop } from "@nimbus/domain/admin"
import { ms, time } from "../format.ts"
import { titles } from "./hopTexts.ts"

export const Hop = ({ hop }: { readonly hop: JourneyHop }) => {
  if (hop._tag === "Missing") {
    return (
      <li class="hop hop-missing">
        <h3>{titles[hop.step]}</h3>
        <p>missing: it was not sampled, or is no longer kept</p>
      </li>
    )
  }
  const { details: { rule, ...more } = {}, instance, service, step, time: at } = hop.step
  return (
    <li class="hop">
      <h3>
        {titles[step]} <span class="since">+{ms(hop.since_ms)}</span>
      </h3>
      <p>
        <time dateTime={new Date(at).toISOString()}>{time(at)}</time> by {service} <code>{instance}</code>
      </p>
      {rule !== undefined && <p>by the rule: {rule}</p>}
      <Details details={more} />
    </li>
  )
}

const Details = ({ details }: { readonly details: Readonly<Record<string, string>> }) => {
  const known = Object.entries(details)
  if (known.length === 0) return null
  return (
    <p class="quiet">
      {known.map(([name, value]) => (
        <span key={name} class="detail">
          {name} <code>{value}</code>
        </span>
      ))}
    </p>
  )
}
