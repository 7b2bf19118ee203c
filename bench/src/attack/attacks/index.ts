/** All attacks, in the order in which they come. */
import type { Attack } from "../Field.ts"
import { chats } from "./chats.ts"
import { grpc } from "./grpc.ts"
import { http } from "./http.ts"
import { openings } from "./openings.ts"
import { silent } from "./silent.ts"
import { webSockets } from "./webSockets.ts"

export const attacks: ReadonlyArray<Attack> = [...webSockets, ...chats, ...grpc, ...silent, ...openings, ...http]
