/**
 * The frame of every view: what this is, where to go, whether it is up to date, and the view that the address names.
 */
import { useEffect, useRef } from "preact/hooks"
import { isTokenNeeded } from "./api/token.ts"
import { Footer } from "./parts/Footer.tsx"
import { Header } from "./parts/Header.tsx"
import { Login } from "./parts/Login.tsx"
import { Warnings } from "./parts/Warnings.tsx"
import { followLink, view, type View } from "./router.ts"
import { announced } from "./state/announce.ts"
import { ChatView } from "./views/ChatView.tsx"
import { ClientView } from "./views/ClientView.tsx"
import { JourneyView } from "./views/JourneyView.tsx"
import { Overview } from "./views/Overview.tsx"
import { SignInView } from "./views/SignInView.tsx"
import { Unknown } from "./views/Unknown.tsx"

export const App = () => {
  const main = useRef<HTMLElement>(null)
  const { title } = contentOf(view.value)
  useEffect(() => {
    document.title = title === "Overview" ? "Nimbus" : `${title} · Nimbus`
  }, [title])
  useFocusOnView(main)
  return (
    <div class="frame" onClick={followLink}>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <Header />
      <Warnings />
      <main id="main" ref={main} tabIndex={-1}>
        {isTokenNeeded.value && !isOpen.has(view.value.name) ? <Login /> : contentOf(view.value).content}
      </main>
      <Footer />
      <p class="hidden" role="status" aria-live="polite">
        {announced}
      </p>
    </div>
  )
}

/** Views that ask the admin API for nothing. */
const isOpen: ReadonlySet<View["name"]> = new Set(["chat", "signIn"])

const contentOf = (view: View) => {
  switch (view.name) {
    case "overview":
      return { title: "Overview", content: <Overview /> }
    case "chat":
      return { title: "Chat", content: <ChatView /> }
    case "signIn":
      return { title: "Sign in", content: <SignInView /> }
    case "client":
      return { title: view.clientId, content: <ClientView key={view.clientId} clientId={view.clientId} /> }
    case "journey": {
      const { clientId, seq } = view
      return {
        title: `Journey of ${clientId} ${seq}`,
        content: <JourneyView key={`${clientId} ${seq}`} clientId={clientId} seq={seq} />,
      }
    }
    case "unknown":
      return { title: "Not found", content: <Unknown /> }
  }
}

/** After a link is followed, the keyboard focus is at the new view, not at the end of the old one. */
const useFocusOnView = (main: { readonly current: HTMLElement | null }) => {
  const isFirst = useRef(true)
  const shown = view.value
  useEffect(() => {
    if (!isFirst.current) main.current?.focus({ preventScroll: true })
    isFirst.current = false
  }, [shown, main])
}
