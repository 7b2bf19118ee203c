/** The system as it is now. */
import { Charts } from "../parts/Charts.tsx"
import { Clients } from "../parts/Clients.tsx"
import { Flow } from "../parts/Flow.tsx"
import { Pods } from "../parts/Pods.tsx"
import { Roles } from "../parts/Roles.tsx"
import { Topics } from "../parts/Topics.tsx"
import { Demo } from "../demo/Demo.tsx"

export const Overview = () => (
  <>
    <h1 class="hidden">Overview</h1>
    <div class="overview">
      <Flow />
      <Demo />
      <Clients />
      <Charts />
      <Topics />
      <div class="stack">
        <Pods />
        <Roles />
      </div>
    </div>
  </>
)
