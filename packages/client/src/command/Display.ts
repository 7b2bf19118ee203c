/** Where the sample client shows itself: lines on stdout, and on a terminal a bar that stays below them. */
import { bar } from "./Summary.ts"

export interface Display {
  line(text: string): void
  progress(done: number, total: number): void
  /** Takes the bar away. */
  end(): void
}

interface Output {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** The bar goes to `err`, and only if that is a terminal: a file gets plain lines. */
export const display = (out: Output, err: Output): Display => {
  const clear = "\r\u001b[K"
  let shown = ""
  const show = (text: string) => {
    if (err.isTTY !== true || text === shown) return
    err.write(`${clear}${text}`)
    shown = text
  }
  return {
    line: (text) => {
      const below = shown
      show("")
      out.write(`${text}\n`)
      show(below)
    },
    progress: (done, total) => show(bar(done, total)),
    end: () => show(""),
  }
}
