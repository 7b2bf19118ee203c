/** `grpc.health.v1`: what load balancers ask before they send calls. Serving means what `/readyz` means. */
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect"
import { Health, HealthCheckResponse_ServingStatus as Serving } from "./gen/grpc/health/v1/health_pb.js"
import { NimbusService } from "./gen/nimbus_pb.js"

/** The server as a whole, and its service. */
const names: ReadonlySet<string> = new Set(["", NimbusService.typeName])

export interface HealthOptions {
  readonly isReady: () => Promise<boolean>
  /** Before a watcher's answer is looked at again; ends with the watcher's call too. */
  readonly pause: (signal: AbortSignal) => Promise<unknown>
}

export const health =
  ({ isReady, pause }: HealthOptions) =>
  (router: ConnectRouter): ConnectRouter => {
    const status = async (service: string): Promise<Serving> => {
      if (!names.has(service)) return Serving.SERVICE_UNKNOWN
      return (await isReady()) ? Serving.SERVING : Serving.NOT_SERVING
    }
    return router.service(Health, {
      async check({ service }) {
        if (!names.has(service)) throw new ConnectError(`there is no service ${service}`, Code.NotFound)
        return { status: await status(service) }
      },
      async *watch({ service }, { signal }: HandlerContext) {
        let told: Serving | undefined
        while (!signal.aborted) {
          const now = await status(service)
          if (now !== told) yield { status: now }
          told = now
          await pause(signal)
        }
      },
    })
  }
