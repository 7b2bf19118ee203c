/** Small charts over one time axis, as one SVG. */
import { parse, View } from "vega"
import { compile } from "vega-lite"
import { measures, type Sample } from "./Samples.ts"

export interface Mark {
  readonly minute: number
  readonly fault: string
}

/** One chart for each measure, a line for each process, and a tick at each fault. */
export const draw = async (
  samples: ReadonlyArray<Sample>,
  marks: ReadonlyArray<Mark>,
  title: string,
): Promise<string> => {
  const x = { field: "minute", type: "quantitative", axis: { title: "minutes" } } as const
  const { spec } = compile({
    title,
    background: "white",
    config: { view: { stroke: null }, axis: { grid: true, gridOpacity: 0.4 } },
    vconcat: measures.map((measure) => ({
      width: 720,
      height: 130,
      layer: [
        { data: { values: [...marks] }, mark: { type: "rule", color: "#ddd" }, encoding: { x } },
        {
          data: { values: samples.filter((sample) => sample.measure === measure) },
          mark: { type: "line", strokeWidth: 1.2 },
          encoding: {
            x,
            y: { field: "value", type: "quantitative", axis: { title: measure }, scale: { type: scaleOf(measure) } },
            color: { field: "process", type: "nominal", title: null },
          },
        },
      ],
    })),
  })
  const svg = await new View(parse(spec), { renderer: "none" }).toSVG()
  // Thousands of points: a tenth of a pixel is enough for each.
  return svg.replaceAll(/(\.\d)\d+/g, "$1")
}

/** What jumps while a part is away would flatten all else. */
const scaleOf = (measure: string) => (measure === "RSS, MB" || measure === "open handles" ? "linear" : "symlog")
