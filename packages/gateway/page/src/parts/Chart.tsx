/**
 * One chart over time. Canvas, by uPlot: it draws once a second, whatever the number of points, and touches no DOM.
 *
 * Lines differ by their dashes too, and the newest values stand beneath as text, for those who don't see the canvas.
 */
import { type ReadonlySignal, useSignalEffect } from "@preact/signals"
import type { Pulse } from "@nimbus/domain/admin"
import { useEffect, useRef } from "preact/hooks"
import UPlot from "uplot"
import { schemeChanges } from "../state/scheme.ts"

export interface Line {
  readonly label: string
  /** The style property that has the colour. */
  readonly colour: string
  readonly dash?: Array<number>
  readonly of: (pulse: Pulse) => number | undefined
}

interface ChartProps {
  readonly title: string
  readonly pulses: ReadonlySignal<Array<Pulse>>
  readonly lines: ReadonlyArray<Line>
  readonly format: (value: number) => string
  /** At the axis, where that is another one. */
  readonly axisFormat?: (value: number) => string
}

const height_px = 170
/** Of the text at the axes, and the room around it. */
const text_px = 12
const gap_px = 5

export const Chart = ({ axisFormat, format, lines, pulses, title }: ChartProps) => {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | undefined>(undefined)
  const scheme = schemeChanges.value
  useEffect(() => {
    if (place.current === null) return
    const drawn = new UPlot(
      optionsOf(place.current, lines, axisFormat ?? format),
      dataOf(pulses.peek(), lines),
      place.current,
    )
    plot.current = drawn
    const resized = new ResizeObserver(([entry]) => {
      if (entry !== undefined) drawn.setSize({ width: entry.contentRect.width, height: height_px })
    })
    resized.observe(place.current)
    return () => {
      resized.disconnect()
      drawn.destroy()
    }
  }, [scheme])
  useSignalEffect(() => plot.current?.setData(dataOf(pulses.value, lines)))
  const newest = pulses.value.at(-1)
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong>
        {lines.map((line) => (
          <span key={line.label} class="legend">
            <LegendLine line={line} />
            {line.label} <b>{valueOf(newest, line, format)}</b>
          </span>
        ))}
      </figcaption>
      <div ref={place} class="plot" aria-hidden="true" />
    </figure>
  )
}

const LegendLine = ({ line: { colour, dash } }: { readonly line: Line }) => (
  <svg width="22" height="8" aria-hidden="true">
    <line x1="0" y1="4" x2="22" y2="4" stroke={`var(${colour})`} stroke-width="2" stroke-dasharray={dash?.join(" ")} />
  </svg>
)

const valueOf = (pulse: Pulse | undefined, { of }: Line, format: (value: number) => string): string => {
  const value = pulse === undefined ? undefined : of(pulse)
  return value === undefined ? "–" : format(value)
}

const dataOf = (pulses: ReadonlyArray<Pulse>, lines: ReadonlyArray<Line>): UPlot.AlignedData => [
  pulses.map(({ at }) => at / 1000),
  ...lines.map(({ of }) => pulses.map((pulse) => of(pulse) ?? null)),
]

const optionsOf = (
  place: HTMLElement,
  lines: ReadonlyArray<Line>,
  format: (value: number) => string,
): UPlot.Options => {
  const style = getComputedStyle(place)
  const colour = (property: string) => style.getPropertyValue(property).trim()
  const font = `${text_px}px ${style.fontFamily}`
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font }
  const clock_px = widthOf(["00:00:00"], font)
  return {
    width: Math.max(place.clientWidth, 100),
    height: height_px,
    // Half of a label may stand beyond the first and last tick of its axis.
    padding: [text_px, Math.ceil(clock_px / 2), text_px, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map(clock), size: text_px + gap_px * 2, space: clock_px + gap_px * 4 },
      {
        ...axis,
        values: (_, ticks) => ticks.map(format),
        gap: gap_px,
        // As wide as its widest label, and as half of a time, which stands beneath the first tick.
        size: (_, labels) => Math.max(widthOf(labels ?? [], font) + gap_px * 2, clock_px / 2),
        space: 30,
      },
    ],
    series: [
      {},
      ...lines.map(({ colour: property, dash, label }) => ({
        label,
        stroke: colour(property),
        width: 1.5,
        points: { show: false },
        ...(dash === undefined ? {} : { dash }),
      })),
    ],
  }
}

const pen = document.createElement("canvas").getContext("2d")

/** Of the widest text, in whole px. */
const widthOf = (texts: ReadonlyArray<string>, font: string): number => {
  if (pen === null) return 0
  pen.font = font
  return Math.ceil(Math.max(0, ...texts.map((text) => pen.measureText(text).width)))
}

const clock = (at_s: number): string => new Date(at_s * 1000).toLocaleTimeString("en-GB")
