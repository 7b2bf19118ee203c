/** The system as it is now. */
import { about } from "../api/about.ts"
import { Charts } from "../parts/Charts.tsx"
import { Clients } from "../parts/Clients.tsx"
import { Flow } from "../parts/Flow.tsx"
import { Pods } from "../parts/Pods.tsx"
import { Roles } from "../parts/Roles.tsx"
import { Tasks } from "../parts/Tasks.tsx"
import { Topics } from "../parts/Topics.tsx"
import { Demo } from "../demo/Demo.tsx"

export const Overview = () => (
  <>
    <h1 class="hidden">Overview</h1>
    <p class="purpose">
      Nimbus takes events from clients, has handlers work on them, and brings each client each of its results exactly
      once, in order, also when a client was offline or a process has died.
    </p>
    <Flow />
    <div class="overview">
      <div class="stack hands">
        {about.value.hasClients && !about.value.hasLocks && <Demo />}
        <Roles />
      </div>
      <div class="stack">
        <Clients />
        <Tasks />
        <Charts />
        <Topics />
        <Pods />
      </div>
    </div>
  </>
)
