/**
 * Starts the services once for all integration tests of a run, which find where they are by `inject("services")`. A service
 * that can't be started on this machine is absent there: its suites skip, and the reason stands on stderr. Under
 * `NIMBUS_TEST_SERVICES=required` that is a failure instead; `NIMBUS_TEST_SERVICES=none` starts nothing.
 */
import type { TestProject } from "vitest/node"
import { missing, type ServiceName, serviceNames, type Services, startServices } from "./Services.ts"
import { report } from "./Tools.ts"

export interface TestServices {
  /** `host:port` of the broker; user `nimbus`, password `secret` where it has SASL. See Kafka.ts. */
  readonly kafka?: {
    readonly brokers: string
    readonly sasl_brokers: string
    readonly tls_brokers: string
    /** The file with the authority of its certificate, which nobody else trusts. */
    readonly certificate: string
  }
  /** `host:port`. */
  readonly redis?: { readonly address: string }
  readonly postgres?: { readonly url: string }
}

declare module "vitest" {
  interface ProvidedContext {
    readonly services: TestServices
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const services = await start(process.env["NIMBUS_TEST_SERVICES"])
  const at = services.environment
  project.provide("services", {
    ...(at["NIMBUS_KAFKA_BROKERS"] !== undefined && {
      kafka: {
        brokers: at["NIMBUS_KAFKA_BROKERS"],
        sasl_brokers: at["NIMBUS_TEST_KAFKA_SASL_BROKERS"] ?? "",
        tls_brokers: at["NIMBUS_TEST_KAFKA_TLS_BROKERS"] ?? "",
        certificate: at["NIMBUS_TEST_KAFKA_CERTIFICATE"] ?? "",
      },
    }),
    ...(at["NIMBUS_REDIS_ADDRESS"] !== undefined && { redis: { address: at["NIMBUS_REDIS_ADDRESS"] } }),
    ...(at["NIMBUS_POSTGRES_URL"] !== undefined && { postgres: { url: at["NIMBUS_POSTGRES_URL"] } }),
  })
  return () => services.stop()
}

const start = async (wish: string | undefined): Promise<Services> => {
  if (wish === "required") return startServices(serviceNames)
  if (wish === "none") {
    report("none is wanted: the tests that need them are left out")
    return startServices([])
  }
  try {
    return await startServices(serviceNames.filter(isInstalled))
  } catch (error) {
    report(`the tests that need services are left out: ${error instanceof Error ? error.message : String(error)}`)
    return startServices([])
  }
}

const isInstalled = (name: ServiceName): boolean => {
  const reason = missing(name)
  if (reason === undefined) return true
  report(`the tests that need ${name} are left out: ${reason}`)
  report(`to run them: node_modules/.bin/node scripts/services/install.ts ${name}`)
  return false
}
