/** What operators say of who may ask: `NIMBUS_ORIGINS` and `NIMBUS_HOSTS`. */
import { Config, Option, Schema } from "effect"
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

export const config = Config.all({
  origins: Config.option(Config.schema(Origins, "NIMBUS_ORIGINS")),
  alias: Config.option(Config.schema(Origins, "NIMBUS_CORS_ORIGINS")),
  hosts: Config.option(Config.schema(Hosts, "NIMBUS_HOSTS")),
}).pipe(
  Config.map(({ alias, hosts, origins }) => ({
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
