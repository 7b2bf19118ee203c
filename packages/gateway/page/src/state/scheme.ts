/** Counts the changes between dark and light: what is drawn on a canvas must be drawn again. */
import { signal } from "@preact/signals"

export const schemeChanges = signal(0)

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => schemeChanges.value++)
