/** All attacks, in the order in which they come. */
import type { Attack } from "../Field.ts"
import { chats } from "./chats.ts"
import { grpc } from "./grpc.ts"
import { http } from "./http.ts"
import { openings } from "./openings.ts"
import { silent } from "./silent.ts"
import { webSockets } from "./webSockets.ts"

/** What the machine itself takes. */
const nobody: Attack = { name: "nobody", what: "nobody attacks", begin: (field) => void field.sent++ }

export const attacks: ReadonlyArray<Attack> = [
  nobody,
  ...webSockets,
  ...chats,
  ...grpc,
  ...silent,
  ...openings,
  ...http,
]
