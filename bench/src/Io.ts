/** Handlers that wait: 5 to 50 ms, and one in a hundred a whole second. */

const fast = { from_ms: 5, to_ms: 50 }
const slow_ms = 1_000
const slow_every = 100
/** The fractional parts of its multiples are spread evenly. */
const goldenRatio = (1 + Math.sqrt(5)) / 2

/** How long the handler takes for this number: always the same, so that what is ideal is known. */
export const io_ms = (number: number): number =>
  number % slow_every === 0 ? slow_ms : fast.from_ms + ((number * goldenRatio) % 1) * (fast.to_ms - fast.from_ms)

/** Events per second if each client has one under way and nothing costs any time but the handlers. */
export const ideal_per_second = (clients: number): number => {
  const numbers = Array.from({ length: 1_000 }, (_, i) => i)
  const mean_ms = numbers.reduce((sum, number) => sum + io_ms(number), 0) / numbers.length
  return (clients / mean_ms) * 1000
}
