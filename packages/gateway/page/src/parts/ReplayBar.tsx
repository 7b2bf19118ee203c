/** How far a replay is, and how long the rest takes. */
import { count, duration } from "../format.ts"
import { left_ms, progress, type Replay } from "../state/replays.ts"

export const ReplayBar = ({ clientId, replay }: { readonly clientId: string; readonly replay: Replay }) => {
  const done = Math.floor(100 * progress(replay))
  const left = left_ms(replay)
  return (
    <span class="replay">
      <progress max={100} value={done} aria-label={`Replay of ${clientId}`}>
        {done} %
      </progress>
      <span>
        {count(replay.waiting)} to go{left === undefined ? "" : `, ${duration(left)} left`}
      </span>
    </span>
  )
}
