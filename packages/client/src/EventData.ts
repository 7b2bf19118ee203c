/**
 * Whether JSON can represent the data of an event. Data that JSON would omit or change is refused before it is sent.
 * Allowed are null, booleans, texts, finite numbers, arrays and plain objects of these, and objects with `toJSON`, such as a
 * `Date`. An undefined property counts as a missing one. −0 counts as 0.
 */
import { jsonLimits } from "@nimbus/domain/json"

/** What is wrong with it, and where; `undefined`: nothing. */
export const faultIn = (data: unknown): string | undefined => fault(data, "data", jsonLimits.nesting_levels)

const fault = (value: unknown, place: string, levels: number): string | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : `${place} is ${value}, which JSON has no number for`
    case "object":
      return value === null ? undefined : objectFault(value, place, levels)
    default:
      return `${place} is ${nameOf(value)}, which JSON has no words for`
  }
}

const objectFault = (value: object, place: string, levels: number): string | undefined => {
  if (levels === 0) return `${place} is nested more than ${jsonLimits.nesting_levels} levels deep, or in itself`
  if ("toJSON" in value && typeof value.toJSON === "function") {
    const said: unknown = value.toJSON()
    if (said === null) return `${place} is ${nameOf(value)}, which says of itself that it is null`
    return fault(said, place, levels - 1)
  }
  if (Array.isArray(value)) return firstFault(value.entries(), (i) => `${place}[${i}]`, levels)
  if (!isPlain(value)) return `${place} is ${nameOf(value)}, of which JSON would keep a part at most`
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return firstFault(entries, (name) => `${place}.${name}`, levels)
}

const firstFault = <K>(
  entries: Iterable<readonly [K, unknown]>,
  placeOf: (key: K) => string,
  levels: number,
): string | undefined => {
  for (const [key, item] of entries) {
    const found = fault(item, placeOf(key), levels - 1)
    if (found !== undefined) return found
  }
  return undefined
}

/** Made by a literal or by `JSON.parse`, here or in another realm. */
const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

const nameOf = (value: unknown): string => {
  if (value === undefined) return "undefined"
  if (typeof value !== "object" || value === null) return `a ${typeof value}`
  return `an instance of ${value.constructor.name}`
}
