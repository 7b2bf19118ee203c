import { assert, describe, it } from "@effect/vitest"
import { settingNames } from "./SettingNames.ts"
import { unknownSettings, withoutInjected } from "./UnknownSettings.ts"

describe("unknownSettings", () => {
  it.each([
    ["NIMBUS_HTTPPORT", "NIMBUS_HTTP_PORT"],
    ["NIMBUS_KAFKA_BROKER", "NIMBUS_KAFKA_BROKERS"],
    ["NIMBUS_WS_KAFKA_BROKERS", "NIMBUS_KAFKA_BROKERS"],
    ["NIMBUS_REDIS_PASS", "NIMBUS_REDIS_TLS"],
    ["NIMBUS_", "NIMBUS_TLS"],
    ["NIMBUS_GRPC_PORT", "NIMBUS_PORT"],
  ])("names for %s the nearest: %s", (name, nearest) => {
    assert.deepStrictEqual(unknownSettings(["PATH", name, "NIMBUS_DATA", name]), [{ name, nearest }])
  })

  it("finds nothing in the settings, in other names, and in those of the repository's tests", () => {
    assert.deepStrictEqual(unknownSettings([...settingNames, "REDIS_URL", "nimbus_x", "NIMBUS_TEST_SERVICES"]), [])
  })
})

describe("withoutInjected", () => {
  it("leaves out what Kubernetes tells of Services called nimbus and nimbus-gateway, and nothing else", () => {
    const injected = {
      NIMBUS_PORT: "tcp://10.0.0.7:3000",
      NIMBUS_PORT_3000_TCP: "tcp://10.0.0.7:3000",
      NIMBUS_PORT_3000_TCP_ADDR: "10.0.0.7",
      NIMBUS_PORT_3000_TCP_PORT: "3000",
      NIMBUS_PORT_3000_TCP_PROTO: "tcp",
      NIMBUS_SERVICE_HOST: "10.0.0.7",
      NIMBUS_SERVICE_PORT: "3000",
      NIMBUS_SERVICE_PORT_HTTP: "3000",
      NIMBUS_GATEWAY_PORT: "tcp://10.0.0.8:3000",
      NIMBUS_GATEWAY_PORT_53_UDP: "udp://10.0.0.8:53",
      NIMBUS_GATEWAY_SERVICE_HOST: "10.0.0.8",
      // A Service called nimbus-http: a setting by its name.
      NIMBUS_HTTP_PORT: "tcp://10.0.0.9:80",
    }
    const settings = { NIMBUS_PIPELINE_HTTP_PORT: "3001", NIMBUS_KAFKA_BROKERS: "kafka:9092", PATH: "/bin" }
    assert.deepStrictEqual(withoutInjected({ ...injected, ...settings, GONE: undefined }), settings)
    assert.deepStrictEqual(withoutInjected({ NIMBUS_PORT: "50052" }), { NIMBUS_PORT: "50052" })
  })
})
