/**
 * Why a gateway closes a socket, so that a client knows what to do. Ranges as Centrifugo has them: below 4500 a client
 * should come back (with jitter), from 4500 on it should not without a change.
 */
export const closeCodes = {
  /** The gateway is leaving: come back after a random part of `retry_jitter_ms`, any gateway will do. */
  goingAway: { code: 4000, reason: "GOING_AWAY", reconnect: true },
  /** Nothing came back from the client in time, not even a pong. */
  idle: { code: 4001, reason: "IDLE", reconnect: true },
  /** A part this gateway needs did not answer. */
  unavailable: { code: 4002, reason: "UNAVAILABLE", reconnect: true },
  /** Too slow to acknowledge, where replay can't help. */
  tooSlow: { code: 4003, reason: "TOO_SLOW", reconnect: true },
  /** An operator has closed this connection: come back as after `goingAway`, any gateway will do. */
  kicked: { code: 4004, reason: "KICKED", reconnect: true },
  /** Too much has come in that is not whole, of all connections together, and this one had brought the most. */
  busy: { code: 4005, reason: "BUSY", reconnect: true },
  /** The token has ended: come back with a new one. What the client has not got waits for it. */
  tokenExpired: { code: 4006, reason: "TOKEN_EXPIRED", reconnect: true },
  /** The subject has as many connections, or new client ids, as it may: the `error` before it has the time to wait. */
  shareUsedUp: { code: 4007, reason: "SHARE_USED_UP", reconnect: true },
  /** A newer connection of the same client is there. Coming back would supersede it in turn. */
  superseded: { code: 4500, reason: "SUPERSEDED", reconnect: false },
  /** The request itself is wrong: client id, parameters, path. */
  badRequest: { code: 4501, reason: "BAD_REQUEST", reconnect: false },
  /** Nobody is known by what was shown, or nothing was shown in time: come with another token. */
  unauthenticated: { code: 4502, reason: "UNAUTHENTICATED", reconnect: false },
  /** What was shown counts no more: it was revoked. */
  revoked: { code: 4503, reason: "TOKEN_REVOKED", reconnect: false },
  /** A capability is missing. */
  forbidden: { code: 4504, reason: "FORBIDDEN", reconnect: false },
  /** Another subject is connected as this client. */
  inUse: { code: 4505, reason: "CLIENT_IN_USE", reconnect: false },
  /** A frame larger than `welcome.limits.frame_bytes`. RFC 6455 has a code of its own for it. */
  tooBig: { code: 1009, reason: "MESSAGE_TOO_BIG", reconnect: false },
} as const satisfies Record<string, CloseReason>

/** How a gateway closes a connection, and whether the client should come back. */
export interface CloseReason {
  readonly code: number
  readonly reason: string
  readonly reconnect: boolean
}

/** Whether a client that saw this close should connect again automatically. Codes that are not ours: yes. */
export const shouldReconnect = (code: number): boolean =>
  Object.values<CloseReason>(closeCodes).find((known) => known.code === code)?.reconnect ?? (code < 4500 || code > 4999)
