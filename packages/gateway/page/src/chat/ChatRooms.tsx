/** Goes to another room. */
import { useState } from "preact/hooks"

interface ChatRoomsProps {
  readonly name: string
  readonly onEnter: (name: string) => void
}

export const ChatRooms = ({ name, onEnter }: ChatRoomsProps) => {
  const [text, setText] = useState(name)
  return (
    <form
      class="inline"
      onSubmit={(event) => {
        event.preventDefault()
        onEnter(text)
      }}
    >
      <label for="room">Room</label>
      <input id="room" value={text} required maxLength={256} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit">Enter</button>
    </form>
  )
}
