/** A line to say something. It is cleared once the log has it. */
import { useState } from "preact/hooks"
import { type Room, standing } from "./Room.ts"

const key = "nimbus-chat-name"

export const ChatLine = ({ room }: { readonly room: Room }) => {
  const [who, setWho] = useState(sessionStorage.getItem(key) ?? "")
  const [text, setText] = useState("")
  const [fault, setFault] = useState<string>()
  const say = async () => {
    sessionStorage.setItem(key, who)
    try {
      await room.say(who, text)
      setText("")
      setFault(undefined)
    } catch (error) {
      setFault(`Not sent: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return (
    <form
      class="chat-line"
      onSubmit={(event) => {
        event.preventDefault()
        void say()
      }}
    >
      <input
        aria-label="Your name"
        placeholder="Your name"
        autocomplete="nickname"
        maxLength={40}
        value={who}
        onInput={(event) => setWho(event.currentTarget.value)}
      />
      <input
        aria-label="Message"
        placeholder="Message"
        autocomplete="off"
        required
        maxLength={4_000}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="primary" disabled={standing.value === "cut off"}>
        Say
      </button>
      {fault !== undefined && <p role="alert">{fault}</p>}
    </form>
  )
}
