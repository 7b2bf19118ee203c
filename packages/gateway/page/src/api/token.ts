/** The token that the page shows, for as long as the tab lives, and whether it was asked for. */
import { signal } from "@preact/signals"

const key = "nimbus-admin-token"

export const token = signal(sessionStorage.getItem(key) ?? undefined)
/** The gateway has refused us: without a token, or with one that does not suffice. */
export const isTokenNeeded = signal(false)
/** Why, in words, where we have shown one. */
export const fault = signal("")

export const enter = (text: string): void => {
  sessionStorage.setItem(key, text)
  token.value = text
  fault.value = ""
  isTokenNeeded.value = false
}

export const refused = (why: string): void => {
  fault.value = token.value === undefined ? "" : why
  isTokenNeeded.value = true
}

/** The page knows nothing of it any more. */
export const leave = (): void => {
  sessionStorage.removeItem(key)
  token.value = undefined
  fault.value = ""
  isTokenNeeded.value = true
}
