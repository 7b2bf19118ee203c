/**
 * Hostile bytes from valid ones. Each mutation is a small one of its own, so that what comes out is often almost valid:
 * that gets furthest.
 */
import type { Dice } from "@nimbus/domain/testing/dice"

/** JSON that is wrong in its structure, its values, its text or its bytes; valid UTF-8 or not. */
export const mutateJson = (json: string, dice: Dice): Buffer => {
  if (dice.below(100) < 55) return Buffer.from(mutateFields(json, dice))
  const text = dice.oneOf(texts)(json, dice)
  return dice.below(3) === 0 ? mutateBytes(Buffer.from(text), dice) : Buffer.from(text)
}

export const mutateBytes = (bytes: Buffer, dice: Dice): Buffer => dice.oneOf(byteMutations)(bytes, dice)

/** Numbers that are no sensible seq, size, id or amount. */
export const odd = (dice: Dice): string => dice.oneOf(oddNumbers)

const oddNumbers = [
  "-1",
  "-0",
  "1e400",
  "-1e308",
  "5e-324",
  "9007199254740993",
  "18446744073709551616",
  "0.5",
  "2147483648",
]

const oddStrings = [
  '""',
  String.raw`"\u0000"`,
  String.raw`"\ud800"`,
  String.raw`"\udfff\ud800"`,
  '"\u202e\ufeff"',
  '"__proto__"',
  '"constructor"',
  '"../../etc/passwd"',
  String.raw`"%00%ff\r\n"`,
]

/** JSON words to stand where another is expected. */
const value = (dice: Dice): string => {
  const kind = dice.below(40)
  if (kind < 14) return odd(dice)
  if (kind < 26) return dice.oneOf(oddStrings)
  if (kind < 34)
    return dice.oneOf(["null", "true", "false", "[]", "{}", "[[]]", '{"a":{"b":[1]}}', '{"__proto__":{"x":1}}'])
  if (kind < 37) return `"${"x".repeat(dice.oneOf([129, 1_000, 10_000]))}"`
  return nested(dice.oneOf([10, 100, 1_000, 2_000, 5_000]), dice)
}

/** `depth` arrays or objects in each other. */
const nested = (depth: number, dice: Dice): string =>
  dice.below(2) === 0 ? "[".repeat(depth) + "]".repeat(depth) : `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`

/** As deep as fits into the largest frame: rarely, as each costs a quarter of a megabyte. */
const deepest = (dice: Dice): string => nested(dice.below(2) === 0 ? 20_000 : 40_000, dice)

const mutateFields = (json: string, dice: Dice): string => {
  const parsed: unknown = JSON.parse(json)
  if (Array.isArray(parsed)) {
    const items: ReadonlyArray<unknown> = parsed
    return `[${mutateItems(items.map(wordsOf), dice).join(",")}]`
  }
  if (typeof parsed !== "object" || parsed === null) return value(dice)
  const fields = Object.entries(parsed).map(([key, value]) => `${JSON.stringify(key)}:${wordsOf(value)}`)
  return `{${mutateItems(fields, dice).join(",")}}`
}

const wordsOf = (value: unknown): string => JSON.stringify(value) ?? "null"

/** Of an object, whose items have keys, or of an array. */
const mutateItems = (items: ReadonlyArray<string>, dice: Dice): ReadonlyArray<string> => {
  const at = dice.below(Math.max(1, items.length))
  const item = items[at] ?? ""
  const key = /^"[^"]*":/.exec(item)?.[0] ?? ""
  switch (dice.below(8)) {
    case 0:
      return items.toSpliced(at, 1)
    case 1:
      return items.toSpliced(at, 0, item)
    case 2:
      return dice.shuffle(items)
    case 3:
      return [...items, `${key === "" ? "" : `${dice.oneOf(oddStrings)}:`}${value(dice)}`]
    case 4:
      return dice.below(50) === 0 ? items.with(at, key + deepest(dice)) : items.with(at, key + value(dice))
    case 5:
      return key === "" ? [] : items.toSpliced(at, 0, key + value(dice))
    default:
      return items.with(at, key + value(dice))
  }
}

type TextMutation = (text: string, dice: Dice) => string

const texts: ReadonlyArray<TextMutation> = [
  (text, dice) => text.slice(0, dice.below(text.length)),
  (text, dice) => text.slice(dice.below(text.length)),
  (text) => text + text,
  (text, dice) =>
    insert(text, dice, dice.oneOf(["{", "}", "[", "]", '"', ",", ":", "\\", "\u0000", "\ud83d", "é", "\u2028"])),
  (text, dice) => text.replace(/\d+/, odd(dice)),
  (text, dice) => insert(text, dice, " \t\n".repeat(1 + dice.below(100))),
  (_, dice) => "[".repeat(1 + dice.below(5_000)),
  () => "",
]

const insert = (text: string, dice: Dice, what: string): string => {
  const at = dice.below(text.length + 1)
  return text.slice(0, at) + what + text.slice(at)
}

type ByteMutation = (bytes: Buffer, dice: Dice) => Buffer

const byteMutations: ReadonlyArray<ByteMutation> = [
  (bytes, dice) => {
    const flipped = Buffer.from(bytes)
    for (let n = 1 + dice.below(4); n > 0 && bytes.length > 0; n--) {
      const at = dice.below(bytes.length)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << dice.below(8))
    }
    return flipped
  },
  (bytes, dice) => bytes.subarray(0, dice.below(bytes.length + 1)),
  (bytes, dice) => splice(bytes, dice, dice.oneOf(notUtf8)),
  (bytes, dice) => splice(bytes, dice, Buffer.from([dice.below(256)])),
  (bytes, dice) => {
    const from = dice.below(bytes.length + 1)
    return splice(bytes, dice, bytes.subarray(from, from + dice.below(16)))
  },
]

/** A lone continuation, an overlong slash, a surrogate, a cut-off rune, bytes that never occur. */
const notUtf8 = ["80", "c0af", "eda080", "f09f98", "ff", "fe00"].map((hex) => Buffer.from(hex, "hex"))

const splice = (bytes: Buffer, dice: Dice, what: Buffer): Buffer => {
  const at = dice.below(bytes.length + 1)
  return Buffer.concat([bytes.subarray(0, at), what, bytes.subarray(at)])
}
