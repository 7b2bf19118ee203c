/** The corner to try it all: sample clients, and a story to tell with the first of them. */
import { useState } from "preact/hooks"
import { pageLimits } from "../Limits.ts"
import { many } from "../format.ts"
import { Panel } from "../parts/Panel.tsx"
import { Answers } from "./Answers.tsx"
import { isStarting, samples, startSamples, stopSamples } from "./samples.ts"
import { SampleTable } from "./SampleTable.tsx"
import { Story } from "./Story.tsx"

export const Demo = () => {
  const [count, setCount] = useState(5)
  const room = pageLimits.samples - samples.value.length
  const first = samples.value[0]
  return (
    <Panel id="demo" title="Try it">
      <form
        class="demo-start"
        onSubmit={(event) => {
          event.preventDefault()
          void startSamples(count)
        }}
      >
        <label for="demo-count">Sample clients</label>
        <input
          id="demo-count"
          type="number"
          min={1}
          max={Math.max(1, room)}
          value={count}
          onInput={(event) => setCount(event.currentTarget.valueAsNumber)}
        />
        <button type="submit" class="primary" disabled={room === 0 || isStarting.value}>
          Start
        </button>
        {first !== undefined && (
          <button type="button" onClick={() => void stopSamples()}>
            Stop all
          </button>
        )}
      </form>
      {first === undefined ? (
        <p class="quiet">
          Each is a client of its own in this page: it sends a number to be squared every second. Then cut one off, let
          messages queue, bring it back, and watch it replay.
        </p>
      ) : (
        <>
          <Story sample={first} />
          <Answers key={first.clientId} sample={first} />
          <p class="quiet">{many(samples.value.length, "sample client")} in this page</p>
          <SampleTable samples={samples.value} />
        </>
      )}
    </Panel>
  )
}
