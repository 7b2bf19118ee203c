/** What was said; at its end for as long as nobody has scrolled up. */
import { useLayoutEffect, useRef } from "preact/hooks"
import { time } from "../format.ts"
import type { Said } from "./Room.ts"

const nearEnd_px = 40

export const ChatLog = ({ said }: { readonly said: ReadonlyArray<Said> }) => {
  const log = useRef<HTMLDivElement>(null)
  const isAtEnd = useRef(true)
  useLayoutEffect(() => {
    if (log.current !== null && isAtEnd.current) log.current.scrollTop = log.current.scrollHeight
  }, [said])
  return (
    <div
      ref={log}
      class="chat-log"
      role="log"
      aria-label="What was said"
      tabIndex={0}
      onScroll={({ currentTarget: { clientHeight, scrollHeight, scrollTop } }) => {
        isAtEnd.current = scrollHeight - scrollTop - clientHeight < nearEnd_px
      }}
    >
      {said.length === 0 && <p class="quiet">Nothing yet.</p>}
      {said.map(({ at, isMine, key, text, who }) => (
        <div key={key} class={isMine ? "said mine" : "said"}>
          <b>{who}</b> <time dateTime={new Date(at).toISOString()}>{time(at)}</time>
          <p>{text}</p>
        </div>
      ))}
    </div>
  )
}
