/**
 * JSON set over several lines, token by token: it is not parsed, so every number keeps the digits that it was written with,
 * and text that is no JSON comes out as readable as it can.
 */

/** Deeper levels are indented no further, so that what is set is not much longer than what was given. */
const indented_levels = 20

const tokens = /"(?:[^"\\]|\\.)*"?|[{[]\s*[}\]]|[{}[\],:]|[^\s"{}[\],:]+/g

export const setJson = (text: string): string => {
  let depth = 0
  const line = () => `\n${"  ".repeat(Math.min(depth, indented_levels))}`
  return (text.match(tokens) ?? [])
    .map((token) => {
      if (token === "{" || token === "[") {
        depth++
        return token + line()
      }
      if (token === "}" || token === "]") {
        depth = Math.max(0, depth - 1)
        return line() + token
      }
      if (token === ",") return token + line()
      if (token === ":") return ": "
      return /^[{[]/.test(token) ? token.replaceAll(/\s/g, "") : token
    })
    .join("")
}
