/** The admin token, for as long as the tab lives, and whether it was asked for. */
import { signal } from "@preact/signals"

const key = "nimbus-admin-token"

export const token = signal(sessionStorage.getItem(key) ?? undefined)
/** The gateway has refused us: without a token, or with a wrong one. */
export const isTokenNeeded = signal(false)

export const enter = (text: string): void => {
  sessionStorage.setItem(key, text)
  token.value = text
  isTokenNeeded.value = false
}

export const refused = (): void => {
  isTokenNeeded.value = true
}
