/** The flow of records as a drawing: wide, or upright where the screen is narrow. */
import { snapshot, pulses, replays } from "../state/live.ts"
import { flowOf, inWords, placeNames, wayNames, type Place, type Way } from "../state/flow.ts"
import { isNarrow } from "../state/narrow.ts"
import { elsewhere_per_s, here_per_s } from "../state/replays.ts"
import { narrow, wide, type Box, type Route } from "./flowLayout.ts"
import { Panel } from "./Panel.tsx"

export const Flow = () => {
  const shown = snapshot.value
  const layout = isNarrow.value ? narrow : wide
  if (shown === undefined) {
    return (
      <Panel id="flow" title="Flow">
        <p class="quiet">Waiting for the first snapshot …</p>
      </Panel>
    )
  }
  const { clients, pod, rows } = shown
  const replayed_per_s = here_per_s(pulses.value) + elsewhere_per_s(replays.value, rows, pod)
  const flow = flowOf(shown, clients.REPLAYING === 0 ? 0 : replayed_per_s)
  return (
    <Panel id="flow" title="Flow">
      <svg class="flow-drawing" viewBox={layout.viewBox} role="img" aria-labelledby="flow-title flow-words">
        <desc id="flow-words">{inWords(flow)}</desc>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto">
            <path d="M0,0 L8,4 L0,8 z" class="arrow" />
          </marker>
        </defs>
        {wayNames.map((name) => (
          <WayLine key={name} way={flow.ways[name]} route={layout.ways[name]} />
        ))}
        {placeNames.map((name) => (
          <PlaceBox key={name} place={flow.places[name]} box={layout.places[name]} />
        ))}
      </svg>
    </Panel>
  )
}

const WayLine = ({ route: { anchor, d, x, y }, way }: { readonly route: Route; readonly way: Way }) => (
  <g class={`way way-${way.isStopped ? "stopped" : way.pace}`}>
    <path d={d} class="way-line" marker-end="url(#arrow)" />
    <path d={d} class="way-dots" />
    <text x={x} y={y} text-anchor={anchor}>
      <tspan class="way-carrier">{way.carrier}</tspan>
      <tspan x={x} dy="26" class="way-note">
        {way.note}
      </tspan>
    </text>
  </g>
)

const PlaceBox = ({ box: { height, width, x, y }, place }: { readonly box: Box; readonly place: Place }) => (
  <g class={place.isBehind ? "place place-behind" : "place"}>
    <rect x={x} y={y} width={width} height={height} rx="8" />
    <text x={x + width / 2} y={y + height / 2 - 4} text-anchor="middle" class="place-title">
      {place.title}
    </text>
    <text x={x + width / 2} y={y + height / 2 + 15} text-anchor="middle" class="place-note">
      {place.note}
    </text>
  </g>
)
