/** What a client and a gateway agree on as they open the native WebSocket. */
export const subprotocol = "nimbus.v1"
