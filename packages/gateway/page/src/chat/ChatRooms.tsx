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
      <input
        id="room"
        value={text}
        required
        pattern="[A-Za-z0-9._:@\-]{1,128}"
        title="1 to 128 letters, digits and . _ : @ -"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit">Enter</button>
    </form>
  )
}
