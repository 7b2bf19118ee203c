/** Which gateway tells all this, and what it could not read. */
import { PodName } from "./PodName.tsx"
import { snapshot } from "../state/live.ts"

export const Footer = () => {
  const shown = snapshot.value
  if (shown === undefined) return null
  return (
    <footer class="bottom">
      {shown.pod !== undefined && (
        <span>
          seen by gateway <PodName pod={shown.pod} />
        </span>
      )}
      <span>
        log <code>{shown.incarnation}</code>
      </span>
      {shown.stale.length > 0 && <span class="warning">not read just now: {shown.stale.join(", ")}</span>}
    </footer>
  )
}
