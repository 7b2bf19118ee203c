/**
 * Slows a reader down to so many results a second, so that a replay lasts long enough to be watched.
 *
 * Gives nothing while there is room in the slice of time, else a promise for the next slice: the SDK reads no further
 * until then, acknowledges later, and the gateway's window fills as it would with a slow client.
 */
const slice_ms = 50

export const makeThrottle = (results_per_s: number): (() => Promise<void> | undefined) => {
  const perSlice = Math.max(1, Math.floor((results_per_s * slice_ms) / 1000))
  let began = performance.now()
  let taken = 0
  return () => {
    const now = performance.now()
    if (now - began >= slice_ms) {
      began = now
      taken = 0
    }
    if (++taken <= perSlice) return undefined
    return new Promise((resolve) => setTimeout(resolve, slice_ms - (now - began)))
  }
}
