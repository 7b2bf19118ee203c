import { Tracer } from "effect"

/** A tracer that keeps its spans. */
export const recordingTracer = () => {
  const spans: Array<Tracer.Span> = []
  const span: Tracer.Tracer["span"] = (options) => {
    const span = new Tracer.NativeSpan(options)
    spans.push(span)
    return span
  }
  return { spans, tracer: Tracer.make({ span }) }
}
