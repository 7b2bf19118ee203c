/** Where the admin API of this process is, if it has one: for what tells operators. */
import { Context, Effect, Layer } from "effect"
import * as HttpFront from "../http/HttpFront.ts"
import { Operators } from "./Operators.ts"

/** Where the page, the admin API and the metrics are. */
export class AdminPlace extends Context.Service<
  AdminPlace,
  {
    /** Its address, `https://host:port` or `http://…`, as the server listens. Undefined: nobody may use it, so there is none. */
    readonly url: string | undefined
    readonly hasPage: boolean
  }
>()("@nimbus/gateway/AdminPlace") {
  static readonly layerWith = ({ page = true }: { readonly page?: boolean }) =>
    Layer.effect(
      AdminPlace,
      Effect.gen(function* () {
        const { isOn } = yield* Operators
        const url = yield* HttpFront.url
        return { url: isOn ? url : undefined, hasPage: isOn && page }
      }),
    )
}
