/** A pipeline with tasks beside the samples: `count` goes on where the attempt before was, `tell` begins again. */
import { Handlers } from "@nimbus/domain/services"
import * as Pipeline from "@nimbus/server/pipeline"
import { Effect, Schema, Stream } from "effect"

const input = Schema.Struct({ parts: Schema.Int, pause_ms: Schema.Finite })

type Asked = typeof input.Type

/** The numbers from `from` on, each after a pause. */
const numbers = ({ parts, pause_ms }: Asked, from: number): Stream.Stream<number> =>
  from >= parts
    ? Stream.empty
    : Stream.mapEffect(Stream.range(from, parts - 1), (number) => Effect.as(Effect.sleep(pause_ms), number))

const count = Handlers.task("count", {
  input,
  part: Schema.Int,
  resumes: true,
  handler: (asked, { published }) =>
    Stream.unwrap(Effect.map(Stream.runCount(published), (from) => numbers(asked, from))),
})

const tell = Handlers.task("tell", { input, part: Schema.Int, handler: (asked) => numbers(asked, 0) })

Pipeline.main([...Handlers.samples, count, tell])
