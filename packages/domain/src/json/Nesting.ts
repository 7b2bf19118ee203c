/**
 * How deep JSON may be nested. `JSON.parse` takes any depth, but what comes after it, writing it again or walking it by
 * a schema, needs stack for each level and throws where there is no more. So everything that comes from outside is held
 * against this bound first, at the transport.
 */
import { jsonLimits } from "./JsonLimits.ts"

/** What a client is told whose data is nested too deeply. */
export const nestingMessage = `nested more than ${jsonLimits.nesting_levels} levels deep`

/** Of what `JSON.parse` gave. `chars`: the length of its text, if that is known, by which most are let through unseen. */
export const isNestedTooDeeply = (value: unknown, chars = Infinity): boolean =>
  // A level is two characters at least.
  chars > 2 * jsonLimits.nesting_levels && isDeeper(value, jsonLimits.nesting_levels)

const isDeeper = (value: unknown, levels: number): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) return value.some((item) => isDeeper(item, levels - 1))
  for (const item of Object.values(value)) if (isDeeper(item, levels - 1)) return true
  return false
}
