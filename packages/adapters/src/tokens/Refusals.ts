/** Why a token counts for nothing. Whoever shows it is told, so nothing of what it says is in it. */
import { Unauthenticated } from "@nimbus/domain/errors"

export const tokenInvalid = (why: string) =>
  new Unauthenticated({ code: "TOKEN_INVALID", reason: `the token is not valid here: ${why}` })

export const tokenExpired = new Unauthenticated({ code: "TOKEN_EXPIRED", reason: "the token has ended" })
