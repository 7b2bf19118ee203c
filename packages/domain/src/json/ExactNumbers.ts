/**
 * Numbers in JSON that would not come back as they were sent.
 *
 * Data is parsed on its way, by handlers and by clients, and a JavaScript number is a double: 9007199254740993 becomes
 * 9007199254740992, and 1e400 no number at all. So transports refuse such a number, with this reason; a client that
 * needs it sends it as text. (Those of NimbusWS carry what is sent as it is written, up to its bounds.) A number is
 * taken if
 *
 * 1. read as a double and written as JSON it has the same value, however it was spelled (`1.0`, `1e3`); or
 * 2. it has a fraction, and the double is written so with as many digits, as `%.17g` does: 0.10000000000000001.
 *
 * −0 counts as 0. Of a key that an object has twice, the last counts, as `JSON.parse` has it.
 */

/** Only numbers with 16 digits or more, or with an exponent, can change. They follow one of these in JSON. */
const suspicious = /(?:^|[:,[])\s*-?(?:[\d.]{16}|[\d.]+[eE])/

/** Of text that is JSON: its strings, which are passed over, and its numbers. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.]*(?:[eE][+-]?\d+)?/gs

/** Why this text, which is JSON, can't be taken: the first number in it that would change. `undefined`: none. */
export const inexactNumber = (json: string): string | undefined => firstOther(json, isExact)

/** The same of a number beyond all bounds alone, for transports that carry the others as they are written. */
export const boundlessNumber = (json: string): string | undefined =>
  firstOther(json, (number) => Number.isFinite(Number(number)))

const firstOther = (json: string, isTaken: (number: string) => boolean): string | undefined => {
  if (!suspicious.test(json)) return undefined
  for (const [found] of json.matchAll(token)) if (!found.startsWith('"') && !isTaken(found)) return reason(found)
  return undefined
}

const shown_chars = 40

const reason = (number: string): string => {
  const shown = number.length <= shown_chars ? number : `${number.slice(0, shown_chars - 1)}…`
  const read = Number(number)
  return Number.isFinite(read)
    ? `the number ${shown} would come back as ${read}: send it as text`
    : `the number ${shown} is beyond all bounds: send it as text`
}

/** More digits than any double has that is written in the usual ways. */
const digits_most = 100

/** Whether a number, as JSON spells it, comes back with the same value from a double. */
export const isExact = (number: string): boolean => {
  const sent = decimalOf(number)
  const read = Number(number)
  if (sent.digits.length > digits_most || !Number.isFinite(read)) return false
  if (isSame(sent, decimalOf(String(read)))) return true
  return sent.exponent < 0 && isSame(sent, decimalOf(read.toPrecision(sent.digits.length)))
}

/** Digits without zeros around them, times ten to the exponent. Zero has no digits. */
interface Decimal {
  readonly digits: string
  readonly exponent: number
}

const isSame = (a: Decimal, b: Decimal): boolean =>
  a.digits === b.digits && (a.digits === "" || a.exponent === b.exponent)

/** The sign is left out: it is the same however a number is read. */
const decimalOf = (number: string): Decimal => {
  const [mantissa = "", exponent = "0"] = number.replace(/^-/, "").split(/[eE](.*)/s)
  const [whole = "", fraction = ""] = mantissa.split(".")
  const digits = (whole + fraction).replace(/^0+/, "")
  let end = digits.length
  while (digits[end - 1] === "0") end--
  return { digits: digits.slice(0, end), exponent: Number(exponent) - fraction.length + digits.length - end }
}
