/**
 * The members of a JSON object, each as the text that it is written in.
 *
 * `JSON.parse` gives numbers as doubles, so a large integer that is parsed and written again is another one. What only
 * passes through is cut out of its text by this, and keeps every digit.
 */

/**
 * By name. Of a name that is there more than once the last counts, as with `JSON.parse`. `json` is text that
 * `JSON.parse` takes; what is no object has no members.
 */
export const membersOf = (json: string): ReadonlyMap<string, string> => {
  const members = new Map<string, string>()
  let at = afterSpace(json, 0)
  if (json.charCodeAt(at) !== openBrace) return members
  // Here stands the brace, or the comma after a value.
  do {
    const name = afterSpace(json, at + 1)
    if (json.charCodeAt(name) !== quote) return members
    const colon = afterSpace(json, afterString(json, name))
    const value = afterSpace(json, colon + 1)
    at = afterValue(json, value)
    members.set(nameIn(json.slice(name, afterString(json, name))), json.slice(value, at).trimEnd())
  } while (json.charCodeAt(at) === comma)
  return members
}

const quote = 34
const comma = 44
const backslash = 92
const openBracket = 91
const closeBracket = 93
const openBrace = 123
const closeBrace = 125

/** JSON has four kinds of white space, all at or below this. */
const space = 32

const afterSpace = (json: string, from: number): number => {
  let at = from
  while (json.charCodeAt(at) <= space) at++
  return at
}

/** `from` is where its first quote stands. */
const afterString = (json: string, from: number): number => {
  for (let at = from + 1; at < json.length; at++) {
    const char = json.charCodeAt(at)
    if (char === quote) return at + 1
    if (char === backslash) at++
  }
  return json.length
}

/** Where the comma or brace stands that ends the value, spaces before it included. */
const afterValue = (json: string, from: number): number => {
  let depth = 0
  for (let at = from; at < json.length; at++) {
    const char = json.charCodeAt(at)
    if (char === quote) at = afterString(json, at) - 1
    else if (char === openBrace || char === openBracket) depth++
    else if (depth === 0 && (char === comma || char === closeBrace)) return at
    else if (char === closeBrace || char === closeBracket) depth--
  }
  return json.length
}

const nameIn = (text: string): string => {
  if (!text.includes("\\")) return text.slice(1, -1)
  const name: unknown = JSON.parse(text)
  return String(name)
}
