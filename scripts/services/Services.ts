/**
 * A real Kafka broker, Redis and PostgreSQL for tests, on free ports of 127.0.0.1 and in a temporary directory.
 *
 *     const services = await startServices(["kafka", "redis"])
 *     await services.get("redis").kill()
 *     await services.stop()
 *
 * Nothing is left behind, even if this process is killed: see Reaper.ts.
 */
import { chmodSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Kafka from "./Kafka.ts"
import * as Postgres from "./Postgres.ts"
import * as Redis from "./Redis.ts"
import { startReaper } from "./Reaper.ts"
import { dataDirectory, makeDataDirectory, Service, type ServiceName } from "./Service.ts"
import { at, freePorts } from "./Tools.ts"

export { Service, type ServiceName, serviceNames } from "./Service.ts"

export interface Services {
  /** What tells programs of ours where the services are. */
  readonly environment: Readonly<Record<string, string>>
  /** One of those that were asked for. */
  get(name: ServiceName): Service
  /** Stops all and removes their data. */
  stop(): Promise<void>
}

/** Why a service can't run on this machine; `undefined` if it can. `install.ts` helps. */
export const missing = (name: ServiceName): string | undefined => kinds[name].missing()

export interface ServicesOptions {
  /** Proxies before Kafka, each by a listener of its own. */
  readonly kafkaListeners?: ReadonlyArray<Kafka.Listener>
}

/** Starts these, and waits until they answer. Fails with the reason, and leaves nothing, if one of them can't. */
export const startServices = async (
  names: ReadonlyArray<ServiceName>,
  options: ServicesOptions = {},
): Promise<Services> => {
  for (const name of names) {
    const reason = missing(name)
    if (reason !== undefined) throw new Error(`${name} can't be started: ${reason}`)
  }
  const directory = mkdtempSync(join(tmpdir(), "nimbus-services-"))
  // PostgreSQL's user has to get through to its own directory.
  chmodSync(directory, 0o711)
  const reaper = startReaper(directory)
  const services = new Map<ServiceName, Service>()
  const onChange = () => reaper.watch([...services.values()].flatMap(({ group }) => group ?? []))
  const ports = await freePorts(6)
  for (const name of names) {
    makeDataDirectory(directory, name)
    services.set(
      name,
      new Service(kinds[name].plan(dataDirectory(directory, name), ports, options), directory, onChange),
    )
  }
  const stop = async () => {
    await Promise.allSettled([...services.values()].map((service) => service.stop()))
    await reaper.finish()
  }
  const started = await Promise.allSettled([...services.values()].map((service) => service.start()))
  const failed = started.find((result) => result.status === "rejected")
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  return {
    environment: Object.assign({}, ...[...services.values()].map(({ environment }) => environment)),
    get: (name) => {
      const service = services.get(name)
      if (service === undefined) throw new Error(`${name} was not asked for`)
      return service
    },
    stop,
  }
}

const kinds = {
  kafka: {
    missing: Kafka.missing,
    plan: (directory: string, ports: ReadonlyArray<number>, { kafkaListeners }: ServicesOptions) => {
      const own = { plain: at(ports, 0), sasl: at(ports, 1), tls: at(ports, 2), controller: at(ports, 3) }
      return Kafka.plan(directory, own, undefined, kafkaListeners)
    },
  },
  redis: {
    missing: Redis.missing,
    plan: (_: string, ports: ReadonlyArray<number>) => Redis.plan(at(ports, 4)),
  },
  postgres: {
    missing: Postgres.missing,
    plan: (directory: string, ports: ReadonlyArray<number>) => Postgres.plan(directory, at(ports, 5)),
  },
}
