/** Serves the folder `page`. Its script connects to Nimbus, which takes it because `.env` names its origin. */
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Config, Layer } from "effect"
import { HttpRouter, HttpStaticServer } from "effect/http"

const root = fileURLToPath(new URL("../page", import.meta.url))

const address = Config.all({
  host: Config.String("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.Port("PAGE_PORT").pipe(Config.withDefault(8080)),
})

export const layer = HttpRouter.serve(HttpStaticServer.layer({ root, cacheControl: "no-cache" }), {
  disableLogger: true,
}).pipe(Layer.provide(NodeHttpServer.layerConfig(createServer, address)))
