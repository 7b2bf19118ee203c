import { assert, describe, it } from "@effect/vitest"
import { PodId } from "@nimbus/domain/protocol"
import { podViews } from "./PodViews.ts"

const [gateway, old, dead, pipeline] = ["gw-1", "gw-2", "gw-3", "pipeline-1"].map((id) => PodId.make(id))
if (!gateway || !old || !dead || !pipeline) throw new Error("four ids")
const at = (role: string) => ({ host: "h", address: "h:3000", role })

describe("podViews", () => {
  it("tells of each process where it is and what it does, and which gateways hold a lease", () => {
    const leased = [gateway, old].map((pod) => ({ pod, clients: 2, isLive: true }))
    const members = [
      { id: pipeline, ...at("event-consumer") },
      { id: dead, ...at("gateway") },
      { id: gateway, ...at("gateway") },
    ]
    assert.deepStrictEqual(podViews(leased, members), {
      gateways: [
        { pod: gateway, clients: 2, isLive: true, ...at("gateway") },
        { pod: old, clients: 2, isLive: true },
      ],
      others: [
        { pod: pipeline, clients: 0, isLive: true, ...at("event-consumer") },
        { pod: dead, clients: 0, isLive: false, ...at("gateway") },
      ],
    })
  })
})
