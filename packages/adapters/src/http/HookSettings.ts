/** The hook that is asked who connects, as the environment says. */
import { isSafeAddress } from "@nimbus/domain/access"
import { Config, Schema } from "effect"
import { insecure } from "../Insecure.ts"
import type { Target } from "./Calls.ts"
import { isSecret } from "./Settings.ts"

const Url = (isInsecure: boolean) =>
  Schema.String.check(
    Schema.makeFilter((text) => isSafeAddress(text, isInsecure) || "must be https://…, without a user and a password"),
  )
const Secret = Schema.String.check(
  Schema.makeFilter((text) => isSecret(text) || "must be whsec_ and 24 to 64 bytes in base64"),
)
const Alone = Schema.String.check(Schema.makeFilter(() => "must be set with NIMBUS_AUTH_HOOK"))

const secretName = "NIMBUS_AUTH_HOOK_SECRET"

/** `NIMBUS_AUTH_HOOK` and its secret; `undefined`: there is none. */
export const config: Config.Config<Target | undefined> = Config.flatMap(insecure, (isInsecure) =>
  Config.option(Config.schema(Url(isInsecure), "NIMBUS_AUTH_HOOK")).pipe(
    Config.flatMap((url): Config.Config<Target | undefined> =>
      url._tag === "None"
        ? Config.map(Config.option(Config.schema(Alone, secretName)), () => undefined)
        : Config.map(Config.schema(Schema.RedactedFromValue(Secret), secretName), (secret) => ({
            url: url.value,
            secret,
          })),
    ),
  ),
)
