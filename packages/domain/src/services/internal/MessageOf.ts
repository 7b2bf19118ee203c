import { Predicate } from "effect"

/** What a typed failure says of itself: its message, else its tag, else itself. */
export const messageOf = (failure: unknown): string => {
  if (Predicate.hasProperty(failure, "message") && typeof failure.message === "string" && failure.message !== "") {
    return failure.message
  }
  if (Predicate.hasProperty(failure, "_tag") && typeof failure._tag === "string") return failure._tag
  return typeof failure === "string" ? failure : "The handler failed"
}
