/** What transports ask of `Access`, and what it says. */
import type { Principal, TargetedCapability } from "@nimbus/domain/access"
import type { AuthUnavailable, Forbidden, Unauthenticated } from "@nimbus/domain/errors"
import type { ClientId, Cursor } from "@nimbus/domain/protocol"
import type { Credentials } from "@nimbus/domain/services"

/** From where somebody asks. */
export interface From {
  readonly address: string | undefined
  /** As `Transport.name`: its path, or `grpc`. */
  readonly transport: string
}

/** What somebody shows. */
export interface Shown extends Credentials {
  /** Of `Tickets`, for the token that it was issued for. It counts where there is no token. */
  readonly ticket?: string | undefined
}

/** As what somebody wants to connect. */
export interface Asked {
  /** Not given: as the client that it is itself. */
  readonly clientId: ClientId | undefined
  /** It acknowledges everything up to here. */
  readonly after: Cursor
  /** What it is sent is acknowledged for it. */
  readonly autoAck: boolean
  /** It gets the client's results and its status. Members of the chat do not. */
  readonly reads: boolean
  /** It asks to have its events sampled. */
  readonly journey: boolean
}

/** Who connects, as whom. */
export interface Admitted {
  readonly principal: Principal
  readonly clientId: ClientId
}

/** What a session is there for: without it there is none. */
export type Need = readonly [capability: TargetedCapability, target: string]

export type NotAdmitted = Unauthenticated | AuthUnavailable | Forbidden
