/** The part that is used here: the package declares its types where its own exports hide them. */
declare module "socket.io-client-3" {
  import type { io as io4 } from "socket.io-client"
  export const io: typeof io4
}
