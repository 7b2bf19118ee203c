/** One hop of a journey: what, when, by whom, and the rule that applied. */
import type { JourneyHop } from "@nimbus/domain/admin"
import { ms, time } from "../format.ts"
import { rules, titles } from "./hopWords.ts"

export const Hop = ({ hop }: { readonly hop: JourneyHop }) => {
  if (hop._tag === "Missing") {
    return (
      <li class="hop hop-missing">
        <h3>{titles[hop.step]}</h3>
        <p>missing: it was not sampled, or is no longer kept</p>
      </li>
    )
  }
  const { details, instance, service, step, time: at } = hop.step
  return (
    <li class="hop">
      <h3>
        {titles[step]} <span class="since">+{ms(hop.since_ms)}</span>
      </h3>
      <p>
        <time dateTime={new Date(at).toISOString()}>{time(at)}</time> by {service} <code>{instance}</code>
      </p>
      <p class="quiet">{rules[step]}</p>
      {details !== undefined && (
        <p class="quiet">
          {Object.entries(details).map(([name, value]) => (
            <span key={name} class="detail">
              {name} <code>{value}</code>
            </span>
          ))}
        </p>
      )}
    </li>
  )
}
