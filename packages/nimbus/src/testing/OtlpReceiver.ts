/** Takes what is exported by OTLP over HTTP as JSON, and keeps the spans. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Schema } from "effect"

const Attributes = Schema.Array(
  Schema.Struct({ key: Schema.String, value: Schema.Struct({ stringValue: Schema.optionalKey(Schema.String) }) }),
)

const Span = Schema.Struct({
  traceId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/)),
  spanId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)),
  parentSpanId: Schema.optionalKey(Schema.String),
  name: Schema.String,
  startTimeUnixNano: Schema.String,
  endTimeUnixNano: Schema.String,
  attributes: Attributes,
})

const Traces = Schema.Struct({
  resourceSpans: Schema.Array(
    Schema.Struct({
      resource: Schema.Struct({ attributes: Attributes }),
      scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) })),
    }),
  ),
})

/** A span, and the process that it is of. */
export interface ReceivedSpan extends Readonly<Omit<typeof Span.Type, "attributes">> {
  readonly service: string
  readonly attributes: Readonly<Record<string, string>>
}

export interface OtlpReceiver {
  /** What exporters are told. */
  readonly url: string
  readonly spans: ReadonlyArray<ReceivedSpan>
  /** What was wrong with requests. */
  readonly faults: ReadonlyArray<string>
  /** The `authorization` headers that came. */
  readonly authorizations: ReadonlySet<string | undefined>
}

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Traces))

const named = (attributes: typeof Attributes.Type): Readonly<Record<string, string>> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? ""]))

const spansOf = (body: string): ReadonlyArray<ReceivedSpan> =>
  decode(body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...span,
        attributes: named(span.attributes),
        service: named(resource.attributes)["service.name"] ?? "",
      })),
    ),
  )

/** Listens at a free port while the scope lasts. */
export const receiver = Effect.gen(function* () {
  const spans: Array<ReceivedSpan> = []
  const faults: Array<string> = []
  const authorizations = new Set<string | undefined>()
  const server = createServer((request, response) => {
    const parts: Array<Buffer> = []
    request.on("data", (part: Buffer) => parts.push(part))
    request.on("end", () => {
      if (request.url !== "/v1/traces") faults.push(`asked for ${String(request.url)}`)
      authorizations.add(request.headers.authorization)
      try {
        spans.push(...spansOf(Buffer.concat(parts).toString()))
      } catch (error) {
        faults.push(String(error))
      }
      response.end("{}")
    })
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(portOf(server.address()))))
    }),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      }),
  )
  const received: OtlpReceiver = { url: `http://127.0.0.1:${port}`, spans, faults, authorizations }
  return received
})

const portOf = (address: AddressInfo | string | null): number =>
  typeof address === "object" && address !== null ? address.port : 0

/** The spans of one trace as a tree: each with those that name it as their parent, by name. */
export interface Tree {
  readonly span: ReceivedSpan
  readonly children: ReadonlyArray<Tree>
}

/** Those of a trace whose parent is not among them; the first span of a trace is one. */
export const treesOf = (spans: ReadonlyArray<ReceivedSpan>): ReadonlyArray<Tree> => {
  const ids = new Set(spans.map(({ spanId }) => spanId))
  const treeOf = (span: ReceivedSpan): Tree => ({
    span,
    children: spans.filter(({ parentSpanId }) => parentSpanId === span.spanId).map(treeOf),
  })
  return spans.filter(({ parentSpanId }) => parentSpanId === undefined || !ids.has(parentSpanId)).map(treeOf)
}

/** `a(b(c) d)`. */
export const drawn = ({ children, span: { name } }: Tree): string => {
  const below = children.map(drawn).toSorted().join(" ")
  return `${name.replace(/^nimbus\./, "")}${below === "" ? "" : `(${below})`}`
}
