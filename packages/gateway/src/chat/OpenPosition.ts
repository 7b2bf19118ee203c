/**
 * Where a socket of the open chat goes on, by what its client gives back.
 *
 * ```
 *   event:listen  "hello"            the message, one argument, as its sender emitted it
 *   offset        "1x4k2z9:1234"     its place, in an event of its own behind it
 * ```
 *
 * Clients of Socket.IO give back the last text that any event had in its last place. Where a connection breaks between
 * these two, that is a message. Its client has everything up to there, so it goes on behind the first message of that
 * text that is remembered: it may get some messages again, and misses none. No message may be text that reads as a
 * place of this chat (`isPlace`), or it would move a client whose connection breaks after it.
 */
import { offsetOf } from "./Position.ts"

/** `said`: the offset of the first remembered message that is this text. As `offsetOf` otherwise. */
export const openOffsetOf = (
  mark: string,
  given: unknown,
  said: (text: string) => number | undefined,
): ReturnType<typeof offsetOf> => {
  const offset = offsetOf(mark, given)
  if (typeof given !== "string" || isPlace(mark, given)) return offset
  return said(given) ?? (typeof offset === "number" ? "unknown" : offset)
}

/** Whether it would be taken for a place of this chat. */
export const isPlace = (mark: string, text: unknown): boolean =>
  typeof text === "string" && text.startsWith(`${mark}:`) && typeof offsetOf(mark, text) === "number"
