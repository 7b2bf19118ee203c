/** The chat: a room by its name, what was said there, and a line to say something. */
import { useEffect, useState } from "preact/hooks"
import { enter, notice, type Room, said, standing } from "../chat/Room.ts"
import { ChatLine } from "../chat/ChatLine.tsx"
import { ChatLog } from "../chat/ChatLog.tsx"
import { ChatRooms } from "../chat/ChatRooms.tsx"
import { CutButton } from "../chat/CutButton.tsx"
import { Panel } from "../parts/Panel.tsx"

export const ChatView = () => {
  const [name, setName] = useState("lobby")
  const [room, setRoom] = useState<Room>()
  useEffect(() => {
    const entered = enter(name)
    setRoom(entered)
    return () => entered.leave()
  }, [name])
  return (
    <>
      <h1>Chat</h1>
      <Panel
        id="chat"
        title={`Room ${name}`}
        aside={
          <>
            <span class={`link link-${standing.value === "live" ? "open" : "broken"}`} role="status">
              {standing}
            </span>
            {room !== undefined && <CutButton room={room} />}
            <ChatRooms name={name} onEnter={setName} />
          </>
        }
      >
        <ChatLog said={said.value} />
        {notice.value !== "" && <p role="alert">{notice.value}</p>}
        {room !== undefined && <ChatLine room={room} />}
      </Panel>
    </>
  )
}
