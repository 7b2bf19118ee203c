/** The output of the sample client: lines on stdout, and on a terminal a progress bar below them. */
import { bar } from "./Summary.ts"

export interface Display {
  line(text: string): void
  progress(done: number, total: number): void
  /** Removes the bar. */
  end(): void
}

interface Output {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** The bar is written to `err`, and only if that is a terminal. A file gets plain lines. */
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
