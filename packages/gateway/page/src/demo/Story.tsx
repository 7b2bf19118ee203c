/** The story of one client in three steps: cut off, messages queue, back again. What happened is told beneath. */
import { useState } from "preact/hooks"
import { pageLimits } from "../Limits.ts"
import { count } from "../format.ts"
import { ReplayBar } from "../parts/ReplayBar.tsx"
import { StatusBadge } from "../parts/StatusBadge.tsx"
import { clientPath } from "../router.ts"
import { replays } from "../state/live.ts"
import { postMessages } from "./postMessages.ts"
import type { SampleClient } from "./SampleClient.ts"

const { mail_messages } = pageLimits

export const Story = ({ sample }: { readonly sample: SampleClient }) => {
  const [posted, setPosted] = useState<number>()
  const [fault, setFault] = useState<string>()
  const { isCut, missing, received, repeated, status } = sample.view.value
  const replay = replays.value.get(sample.clientId)
  const isPosting = posted !== undefined && posted < mail_messages
  const post = () => {
    setPosted(0)
    setFault(undefined)
    postMessages(sample.clientId, sample.takeNumbers(mail_messages), mail_messages, setPosted).catch(
      (error: unknown) => {
        setPosted(undefined)
        setFault(error instanceof Error ? error.message : String(error))
      },
    )
  }
  return (
    <div class="story">
      <p class="story-who">
        <a href={clientPath(sample.clientId)}>{sample.clientId}</a> <StatusBadge status={status} />
      </p>
      <ol>
        <li>
          <button type="button" disabled={isCut} onClick={() => sample.cut()}>
            Cut it off
          </button>
        </li>
        <li>
          <button type="button" disabled={isPosting} onClick={post}>
            Send it {count(mail_messages)} messages
          </button>
          {isPosting && <progress max={mail_messages} value={posted} aria-label={`Messages for ${sample.clientId}`} />}
        </li>
        <li>
          <button type="button" disabled={!isCut} onClick={() => sample.bringBack()}>
            Bring it back
          </button>
          {status === "REPLAYING" && replay !== undefined && <ReplayBar clientId={sample.clientId} replay={replay} />}
        </li>
      </ol>
      <p class="story-account">
        <b>{count(received)}</b> {received === 1 ? "result" : "results"}, <b>{count(missing)}</b> missing,{" "}
        <b>{count(repeated)}</b> repeated
      </p>
      {fault !== undefined && <p role="alert">{fault}</p>}
    </div>
  )
}
