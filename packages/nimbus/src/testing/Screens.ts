/** The screens that the page must fit, and what on them is not there to be read or clicked. */
import { phone, type VisitOptions } from "./Visitor.ts"

export const screens: ReadonlyArray<readonly [name: string, options: VisitOptions]> = [
  ["1,280 px", { viewport: { width: 1280, height: 860 } }],
  ["a phone of 390 px", { ...phone, viewport: { width: 390, height: 844 } }],
  ["a phone of 360 px", phone],
]

/**
 * Elements with text of their own, and buttons, that are not whole within the screen and within all that cuts off around
 * them; what only screen readers see does not count. A region that scrolls down and not sideways hides nothing for good.
 */
export const cutOff = `(() => {
  const found = []
  const clips = (style) => style.overflowX !== "visible"
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const hasText = [...element.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim() !== "")
    if (!hasText && element.tagName !== "BUTTON") continue
    if (element.closest(".hidden, .skip, desc") || element.getClientRects().length === 0) continue
    const { left, right } = element.getBoundingClientRect()
    const tell = (by) => found.push(element.tagName + " " + element.textContent.trim().slice(0, 40) + " by " + by)
    if (left < -0.5 || right > innerWidth + 0.5) tell("the screen")
    if (clips(getComputedStyle(element)) && element.scrollWidth > element.clientWidth) tell("itself")
    for (let around = element.parentElement; around; around = around.parentElement) {
      if (!clips(getComputedStyle(around))) continue
      const box = around.getBoundingClientRect()
      if (left < box.left - 0.5 || right > box.right + 0.5) tell(around.className.baseVal ?? around.className)
    }
  }
  return found
})()`
