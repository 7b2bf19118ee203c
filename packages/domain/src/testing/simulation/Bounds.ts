/**
 * Whether what routers and sessions keep in memory stays under its bounds, looked at after every call of theirs.
 *
 * Of a router: routes; what is in flight, to each client and in all; and what waits for the dlq. Nothing is read while
 * more than `shelf_records` wait, so that what waits and what is in flight, which may have to wait as well, is at most
 * that much, what may be in flight, and one chunk.
 */
import type { Router } from "../../Router.ts"
import type { Session } from "../../Session.ts"
import type { CoreWatcher } from "../Cores.ts"
import type { SimulatedLimits } from "./Production.ts"

export class Bounds implements CoreWatcher {
  private readonly limits: SimulatedLimits
  private readonly report: (message: string) => void

  constructor(limits: SimulatedLimits, report: (message: string) => void) {
    this.limits = limits
    this.report = report
  }

  router(router: Router): void {
    const { chunk_records, router: most, shelf_records } = this.limits
    const { inflight, routes, shelf } = router.size
    this.check("routes", routes, most.routes)
    this.check("in flight", inflight, most.inflight_results)
    this.check("for the dlq", shelf + inflight, shelf_records + most.inflight_results + chunk_records)
    for (const route of router["routes"].values()) {
      this.check("in flight to one", route.inflight.length - route.first, most.inflight_results_per_client)
    }
  }

  session(session: Session): void {
    const { held, window } = session.size
    this.check(`held for ${session.clientId}`, held, this.limits.session.held_results)
    this.check(`window of ${session.clientId}`, window, this.limits.session.window_results)
  }

  private check(what: string, size: number, bound: number): void {
    if (size > bound) this.report(`${what}: ${size} of ${bound}`)
  }
}
