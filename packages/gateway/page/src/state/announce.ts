/** What screen readers are told without being asked: politely, and only what matters. */
import { signal } from "@preact/signals"

export const announced = signal("")

export const announce = (words: string): void => {
  announced.value = words
}
