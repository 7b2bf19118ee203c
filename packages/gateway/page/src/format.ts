/** Numbers and times as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 })

export const count = (n: number): string => whole.format(n)

/** The noun in the singular or with an s. */
export const many = (n: number, noun: string): string => `${count(n)} ${noun}${n === 1 ? "" : "s"}`

export const perSecond = (rate: number): string => `${(rate < 10 ? fine : whole).format(rate)}/s`

export const ms = (time: number | undefined): string =>
  time === undefined ? "–" : `${(time < 10 ? fine : whole).format(time)} ms`

/** For axes: short, whatever the scale. */
export const shortMs = (time: number): string => (time < 1_000 ? ms(time) : `${fine.format(time / 1_000)} s`)

export const bytes = (n: number): string => {
  if (n < 1024) return `${n} B`
  if (n < 1024 * 1024) return `${fine.format(n / 1024)} KiB`
  return `${fine.format(n / 1024 / 1024)} MiB`
}

/** How long something takes, in words: `3 s`, `2 min`. */
export const duration = (time_ms: number): string => {
  const s = Math.ceil(time_ms / 1000)
  if (s < 90) return `${s} s`
  return s < 5_400 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`
}

/** By the viewer's clock; with the date where it is not today. */
export const time = (at: number, now = Date.now()): string => {
  const date = new Date(at)
  const clock = `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`
  return date.toDateString() === new Date(now).toDateString() ? clock : `${date.toLocaleDateString("en-CA")} ${clock}`
}
