/**
 * Finds names that begin with `NIMBUS_` and are not settings. Most of them are misspelt, and would otherwise be ignored
 * without a message.
 *
 * Kubernetes sets variables in every container for the Services of its namespace, which begin with the name of the
 * Service. A Service called `nimbus` leads to `NIMBUS_SERVICE_HOST`, `NIMBUS_PORT_3000_TCP_ADDR` and the like, and also
 * to `NIMBUS_PORT=tcp://10.0.0.7:3000`, which has the name of a setting. All of these are excluded from the settings.
 */
import { settingNames } from "./SettingNames.ts"

const injectedName = /^NIMBUS_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/
const injectedPort = /^NIMBUS_(\w+_)?PORT$/
const injectedAddress = /^(tcp|udp|sctp):\/\//

/** Whether Kubernetes has set this variable, and not an operator. */
export const isInjected = (name: string, value: string): boolean =>
  injectedName.test(name) || (injectedPort.test(name) && injectedAddress.test(value))

/** The environment without the variables of Kubernetes for its Services. */
export const withoutInjected = (env: Readonly<Record<string, string | undefined>>): Record<string, string> => {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !isInjected(name, value)) kept[name] = value
  }
  return kept
}

const known: ReadonlySet<string> = new Set(settingNames)
/** Settings of the tests and benchmarks of this repository. */
const ofTests = /^NIMBUS_(TEST|BENCH)_/

export interface UnknownSetting {
  readonly name: string
  /** The setting that is meant, as far as one can tell: the one with the smallest edit distance, but for some. */
  readonly nearest: string
}

/** The names that begin with `NIMBUS_` and are not settings, each once. */
export const unknownSettings = (names: Iterable<string>): ReadonlyArray<UnknownSetting> =>
  [...new Set(names)]
    .filter((name) => name.startsWith("NIMBUS_") && !known.has(name) && !ofTests.test(name))
    .map((name) => ({ name, nearest: nearestTo(name) }))

/** The port of gRPC has the name that it has in NimbusGRPC; by spelling, that of HTTP is nearer to what one expects. */
const nearestTo = (name: string): string => (/^NIMBUS_GRPC_PORT$/.test(name) ? "NIMBUS_PORT" : nearestBySpelling(name))

const nearestBySpelling = (name: string): string => {
  const changes = settingNames.map((setting) => changesBetween(name, setting))
  return settingNames[changes.indexOf(Math.min(...changes))]!
}

/** The edit distance of two names (Levenshtein). */
const changesBetween = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
