/** The top of every view. */
import { about } from "../api/about.ts"
import { forget } from "../api/signIn.ts"
import { isTokenNeeded, leave, token } from "../api/token.ts"
import { count } from "../format.ts"
import { view } from "../router.ts"
import { link, snapshot } from "../state/live.ts"

const words = {
  connecting: "connecting",
  open: "live",
  broken: "connection lost, trying again",
  paused: "paused",
  full: "as many pages watch as may, trying again",
}

export const Header = () => {
  const { name } = view.value
  const clients = snapshot.value?.clients
  return (
    <header class="top">
      <a class="brand" href="/">
        Nimbus
      </a>
      <nav aria-label="Views">
        <a href="/" aria-current={name === "overview" ? "page" : undefined}>
          Overview
        </a>
        {about.value.hasClients && (
          <a href="/chat" aria-current={name === "chat" ? "page" : undefined}>
            Chat
          </a>
        )}
      </nav>
      <p class="top-facts">
        {clients !== undefined && <span>{count(clients.LIVE + clients.REPLAYING)} connected</span>}
        <span class={`link link-${link.value}`} role="status">
          {words[link.value]}
        </span>
        {token.value !== undefined && !isTokenNeeded.value && (
          <button type="button" onClick={signOut}>
            Sign out
          </button>
        )}
      </p>
    </header>
  )
}

/** This tab forgets who it was. The provider's own session is the provider's. */
const signOut = (): void => {
  forget()
  leave()
}
