/** What a task of the bench answers, on either server: tokens with the time at which each was made. */
import { setTimeout } from "node:timers/promises"

export interface Asked {
  /** Tokens per second; 0: as many as are taken. */
  readonly per_second: number
  readonly for_ms: number
}

/** A token as it is sent. */
export interface Token {
  readonly at: number
  readonly text: string
}

/** Of one clock for all processes of a machine, in ms. */
export const now_ms = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000

/** One that is held up has its next token at once, until it is back in time. */
export async function* tokens({ for_ms, per_second }: Asked): AsyncGenerator<Token> {
  const from = now_ms()
  // Tasks that begin together do not have their tokens together.
  const phase = Math.random()
  for (let i = 0; ; i++) {
    const due = per_second === 0 ? 0 : from + ((i + phase) * 1_000) / per_second
    const wait_ms = due - now_ms()
    if (wait_ms > 0) await setTimeout(wait_ms)
    const at = now_ms()
    if (at - from >= for_ms) return
    yield { at, text: " token" }
  }
}
