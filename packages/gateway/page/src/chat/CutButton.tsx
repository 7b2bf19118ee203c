/** Breaks this page's own connection to the room, and brings it back: what was said meanwhile comes then. */
import { type Room, standing } from "./Room.ts"

export const CutButton = ({ room }: { readonly room: Room }) =>
  standing.value === "cut off" ? (
    <button type="button" onClick={() => room.bringBack()}>
      Bring me back
    </button>
  ) : (
    <button type="button" disabled={standing.value === "offline"} onClick={() => room.cut()}>
      Cut me off
    </button>
  )
