/** What operators say of who may ask: `NIMBUS_ORIGINS`, `NIMBUS_HOSTS` and `NIMBUS_TRUSTED_PROXIES`. */
import { Config, Option, Schema } from "effect"
import { isProxy } from "../addresses/ClientAddress.ts"
import { type AdmissionRules, hostnameOf, isLoopback } from "./Admission.ts"

const partsOf = (text: string): ReadonlyArray<string> => text.split(",").map((part) => part.trim())

const listOf = (isPart: (part: string) => boolean, otherwise: string) =>
  Schema.String.check(Schema.makeFilter((text) => partsOf(text).every(isPart) || otherwise))

/** The web's, as browsers write them, and those of apps that show pages, such as `capacitor://localhost`. */
const isOrigin = (text: string): boolean =>
  text === "*" || URL.parse(text)?.origin === text || /^(?!https?:)[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+$/.test(text)

const isName = (text: string): boolean =>
  (/^\[[^\]]*\]$/.test(text) || !/[:*]/.test(text)) && hostnameOf(text) !== undefined

const Origins = listOf(isOrigin, "must be origins such as https://chat.example, with commas between them, or *")
const Hosts = listOf(isName, "must be names such as nimbus.example, with commas between them, without scheme and port")
const Proxies = listOf(
  isProxy,
  "must be addresses or blocks of them such as 10.0.0.0/8, or loopback, linklocal or uniquelocal, with commas between them",
)

export const config = Config.all({
  origins: Config.option(Config.schema(Origins, "NIMBUS_ORIGINS")),
  alias: Config.option(Config.schema(Origins, "NIMBUS_CORS_ORIGINS")),
  hosts: Config.option(Config.schema(Hosts, "NIMBUS_HOSTS")),
  proxies: Config.option(Config.schema(Proxies, "NIMBUS_TRUSTED_PROXIES")),
}).pipe(
  Config.map(({ alias, hosts, origins, proxies }) => ({
    trustedProxies: Option.match(proxies, { onNone: () => [], onSome: partsOf }),
    origins: Option.match(
      Option.orElse(origins, () => alias),
      { onNone: () => [], onSome: partsOf },
    ),
    hosts: Option.match(hosts, {
      onNone: () => [],
      onSome: (text) => partsOf(text).flatMap((name) => hostnameOf(name) ?? []),
    }),
  })),
)

/** Of a server that listens at `host`. At a loopback address it is asked by loopback names, and by those of `hosts`. */
export const rulesAt = (
  host: string,
  { hosts = [], origins = [] }: { readonly origins?: ReadonlyArray<string>; readonly hosts?: ReadonlyArray<string> },
): AdmissionRules => ({ origins, hosts: hosts.length > 0 || isLoopback(host) ? hosts : undefined })
