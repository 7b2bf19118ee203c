/**
 * Which view the address names. Links of the page are followed without loading it again: the sample clients live in it.
 */
import { computed, signal } from "@preact/signals"
import { ClientId, Seq } from "@nimbus/domain/protocol"
import { Schema } from "effect"

export type View =
  | { readonly name: "overview" }
  | { readonly name: "chat" }
  | { readonly name: "signIn" }
  | { readonly name: "client"; readonly clientId: ClientId }
  | { readonly name: "journey"; readonly clientId: ClientId; readonly seq: Seq }
  | { readonly name: "unknown" }

const isClientId = Schema.is(ClientId)

const path = signal(location.pathname)

export const view = computed(() => viewAt(path.value))

/** Follows the address from now on, by the browser's own buttons too. */
export const followAddress = (): void => {
  addEventListener("popstate", () => (path.value = location.pathname))
}

export const navigate = (to: string): void => {
  history.pushState(null, "", to)
  path.value = location.pathname
  scrollTo(0, 0)
}

/** The same in place of where the page is, which is not come back to. */
export const replace = (to: string): void => {
  history.replaceState(null, "", to)
  path.value = location.pathname
}

export const clientPath = (clientId: string): string => `/clients/${encodeURIComponent(clientId)}`
export const journeyPath = (clientId: string, seq: number): string => `/journey/${encodeURIComponent(clientId)}/${seq}`

/** A click on a link of this page shows the view; with a modifier key, or elsewhere, it is the browser's. */
export const followLink = (event: MouseEvent): void => {
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  ) {
    return
  }
  const link = event.target instanceof Element ? event.target.closest("a") : null
  if (link === null || link.origin !== location.origin || link.target !== "" || link.hash !== "") return
  if (viewAt(link.pathname).name === "unknown") return
  event.preventDefault()
  navigate(link.pathname)
}

const viewAt = (path: string): View => {
  const [first = "", id = "", last = "", ...more] = path.split("/").slice(1).map(decoded)
  if (more.length > 0) return { name: "unknown" }
  if (first === "" && id === "") return { name: "overview" }
  if (first === "chat" && id === "") return { name: "chat" }
  if (first === "sign-in" && id === "") return { name: "signIn" }
  if (!isClientId(id)) return { name: "unknown" }
  if (first === "clients" && last === "") return { name: "client", clientId: id }
  if (first === "journey" && /^\d{1,15}$/.test(last))
    return { name: "journey", clientId: id, seq: Seq.make(Number(last)) }
  return { name: "unknown" }
}

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
