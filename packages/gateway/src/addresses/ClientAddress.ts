/**
 * Whose request it is: the address of the client, as far as those say whom the operator trusts.
 *
 * ```
 *   client ──▶ balancer ──▶ gateway      X-Forwarded-For: <what the client said>, <client>
 * ```
 *
 * Without trusted proxies, and from any other peer, headers are ignored: anybody can write them. A trusted proxy
 * adds the address that it was asked from to the right of what is there, so the rightmost address that is no trusted
 * proxy is the client's.
 *
 * Clients are told apart by what one of them can't choose freely: an IPv4 address, or the first 64 bits of an IPv6
 * address, for each subscriber has at least so many. An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is
 * that IPv4 one.
 */
import { BlockList, isIPv4, isIPv6 } from "node:net"

/** One address, and as what it is counted. */
export interface ClientAddress {
  readonly text: string
  readonly key: string
}

/** What a request brings. */
export interface Origins {
  /** Of the connection. */
  readonly peer: string | undefined
  /** `X-Forwarded-For`. */
  readonly forwardedFor: string | undefined
  /** `Forwarded` (RFC 7239), which is looked at where there is no other. */
  readonly forwarded: string | undefined
}

/** The names that proxies' addresses go by in Express and nginx. */
export const proxyNames: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["loopback", ["127.0.0.0/8", "::1/128"]],
  ["linklocal", ["169.254.0.0/16", "fe80::/10"]],
  ["uniquelocal", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]],
])

interface Subnet {
  readonly address: string
  readonly bits: number
  readonly family: "ipv4" | "ipv6"
}

/** `192.0.2.0/24`, `2001:db8::/32`, or an address alone. Undefined: it is none. */
const subnetOf = (text: string): Subnet | undefined => {
  const [address = "", prefix, ...rest] = text.split("/")
  const family = isIPv4(address) ? "ipv4" : isIPv6(address) ? "ipv6" : undefined
  const most = family === "ipv4" ? 32 : 128
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : most + 1
  return family === undefined || bits > most || rest.length > 0 ? undefined : { address, bits, family }
}

/** Whether it is one of `proxyNames`, an address, or a block of them. */
export const isProxy = (text: string): boolean => proxyNames.has(text) || subnetOf(text) !== undefined

const listOf = (proxies: ReadonlyArray<string>): BlockList => {
  const list = new BlockList()
  for (const text of proxies.flatMap((proxy) => proxyNames.get(proxy) ?? [proxy])) {
    const subnet = subnetOf(text)
    if (subnet !== undefined) list.addSubnet(subnet.address, subnet.bits, subnet.family)
  }
  return list
}

const isIn = (list: BlockList, address: string): boolean => list.check(address, isIPv4(address) ? "ipv4" : "ipv6")

const loopback = listOf(["loopback"])

export interface WhoseRequest {
  readonly client: ClientAddress | undefined
  /** The same, where it is this machine or a proxy as well. */
  readonly from: ClientAddress | undefined
  readonly isProxied: boolean
}

/**
 * Returns whose request it is. `client` undefined: nobody's who is counted, which is this machine, a trusted proxy itself, and
 * any that a trusted proxy does not name.
 */
export const clientAddresses = (trusted: ReadonlyArray<string>): ((origins: Origins) => WhoseRequest) => {
  const proxies = listOf(trusted)
  return ({ forwarded, forwardedFor, peer }) => {
    const address = addressIn(peer ?? "")
    const isProxied = address !== undefined && isIn(proxies, address)
    const found = isProxied ? rightmost(forwardedFor?.split(",") ?? namesIn(forwarded), proxies) : address
    const from = found ?? address
    return {
      client: found === undefined || isIn(loopback, found) ? undefined : countedAs(found),
      from: from === undefined ? undefined : countedAs(from),
      isProxied,
    }
  }
}

const rightmost = (names: ReadonlyArray<string>, proxies: BlockList): string | undefined => {
  for (const name of names.toReversed()) {
    const address = addressIn(name)
    if (address === undefined || !isIn(proxies, address)) return address
  }
  return undefined
}

/** The `for` of each element. */
const namesIn = (forwarded = ""): ReadonlyArray<string> =>
  forwarded.split(",").map((element) => /(?:^|;)\s*for\s*=\s*("[^"]*"|[^;,\s]*)/i.exec(element)?.[1] ?? "")

/** An address as it is written anywhere: with a port, in brackets, in quotes, with a zone. */
const addressIn = (written: string): string | undefined => {
  const bare = written.trim().replace(/^"(.*)"$/, "$1")
  const [, inBrackets] = /^\[([^\]]*)\](?::\d+)?$/.exec(bare) ?? []
  const text = (inBrackets ?? bare.replace(/^([\d.]+):\d+$/, "$1")).replace(/%.*$/, "")
  if (isIPv4(text)) return text
  return isIPv6(text) ? plain(text) : undefined
}

/** In its shortest form, and as IPv4 if it is that. */
const plain = (ipv6: string): string => {
  const groups = groupsOf(ipv6)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (!isMapped) return new URL(`http://[${ipv6}]/`).hostname.slice(1, -1)
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 255])
    .join(".")
}

/** The eight numbers of an IPv6 address. */
const groupsOf = (ipv6: string): ReadonlyArray<number> => {
  const [left = "", right] = new URL(`http://[${ipv6}]/`).hostname.slice(1, -1).split("::")
  const numbers = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)))
  const [before, after] = [numbers(left), numbers(right ?? "")]
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
}

const countedAs = (address: string): ClientAddress => {
  if (isIPv4(address)) return { text: address, key: address }
  const network = groupsOf(address).slice(0, 4)
  return { text: address, key: `${network.map((group) => group.toString(16)).join(":")}::/64` }
}
