/**
 * What a client sees of work that takes its time: a slow handler, behind which its other events wait, and a task that streams
 * its answer while they go on. The connection may be cut off meanwhile.
 */
import { useState } from "preact/hooks"
import { pageLimits } from "../Limits.ts"
import { duration } from "../format.ts"
import type { SampleClient } from "./SampleClient.ts"

export const Answers = ({ sample }: { readonly sample: SampleClient }) => (
  <div class="answers">
    <Slow sample={sample} />
    <Streaming sample={sample} />
  </div>
)

const Slow = ({ sample }: { readonly sample: SampleClient }) => {
  const [told, setTold] = useState("Its other events wait behind it: they are handled in order.")
  const [isUnderWay, setUnderWay] = useState(false)
  const ask = async () => {
    const began = performance.now()
    setUnderWay(true)
    setTold(`The handler takes ${duration(pageLimits.slow_ms)}, and the numbers wait …`)
    setTold(
      await sample
        .slow(pageLimits.slow_ms)
        .then(
          () => `Answered after ${((performance.now() - began) / 1_000).toFixed(1)} s, and the numbers behind it too.`,
          messageOf,
        ),
    )
    setUnderWay(false)
  }
  return (
    <div class="answer">
      <button type="button" disabled={isUnderWay} onClick={() => void ask()}>
        Slow handler
      </button>
      <p class="quiet" role="status">
        {told}
      </p>
    </div>
  )
}

type Stage = "not asked" | "streams" | "done" | "cancelled"

const Streaming = ({ sample }: { readonly sample: SampleClient }) => {
  const [stage, setStage] = useState<Stage>("not asked")
  const [words, setWords] = useState("")
  const [fault, setFault] = useState<string>()
  const ask = async () => {
    setStage("streams")
    setWords("")
    setFault(undefined)
    try {
      for await (const part of sample.stream(answer, pageLimits.stream_every_ms))
        setWords((words) => words + String(part))
      setStage("done")
    } catch (error) {
      setStage("cancelled")
      if (!isCancel(error)) setFault(messageOf(error))
    }
  }
  return (
    <div class="answer">
      <button type="button" disabled={stage === "streams"} onClick={() => void ask()}>
        Streaming answer
      </button>
      {stage === "streams" && (
        <button type="button" onClick={() => sample.cancelStream()}>
          Cancel it
        </button>
      )}
      {stage === "not asked" ? (
        <p class="quiet">A task: its other events go on meanwhile. Cut it off in the middle, and bring it back.</p>
      ) : (
        <div>
          <blockquote aria-label="The streamed answer">{words}</blockquote>
          <p class="quiet" role="status">
            {stage === "streams" ? "The words come one by one …" : fault === undefined ? endOf(stage, words) : ""}
          </p>
        </div>
      )}
      {fault !== undefined && <p role="alert">{fault}</p>}
    </div>
  )
}

/** That no word is missing is seen by the text itself. */
const endOf = (stage: Stage, words: string): string => {
  if (stage === "cancelled") return "Cancelled."
  return words === answer
    ? "Done: the text is complete, each word once."
    : "Done, and the text is not what was asked for."
}

const answer =
  "This text comes from a task, which streams one word after the other, as a model does with its tokens. Each word is in the " +
  "log before it is sent. Cut the connection off now, or kill the task worker, and bring both back: the text goes on where it " +
  "was, and ends complete."

const isCancel = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "TaskCancelled"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
