/**
 * Capabilities: what a subject may do. Denied is what none of its capabilities allows; one table for all transports.
 *
 * | capability | allows |
 * | --- | --- |
 * | `connect:<id>` | to connect as this client: an id, `{sub}` for oneself, `{sub}/*` for one's devices |
 * | `send:<name>` | to send events of this name |
 * | `read` | to get the client's results, and its status |
 * | `ack` | to acknowledge them; `after` is an ack |
 * | `cancel` | to cancel the client's tasks |
 * | `room:join:<room>`, `room:publish:<room>`, `room:history:<room>` | to be in a room, to write there, to be given older messages |
 * | `broadcast` | to send to all sockets of the chat |
 * | `publish:<id>` | to send messages to this client as the server, and to cancel its tasks |
 * | `archive:read` | to read one's own results, and the messages of rooms whose `history` one has, from the archive |
 * | `journey` | to have one's events sampled |
 * | `admin:viewer`, `admin:operator`, `admin:publisher`, `admin:owner` | the admin API: to look, to look and act, to publish, all |
 *
 * 1. After the last `:` of a capability that has a target stands the target, in which a `*` at the end allows every one
 *    that begins so: `send:order.*`, `room:join:*`.
 * 2. `{sub}` stands for the subject's own client id, and for nothing that a client says.
 * 3. Where a token says nothing, `defaults` hold: to connect as oneself, to read, to ack, to send any event.
 */
import { Result } from "effect"
import type { ClientId } from "../protocol/Ids.ts"
import { deviceMark } from "./Subject.ts"

/** Those that name no target. */
const plain = ["read", "ack", "cancel", "broadcast", "archive:read", "journey"] as const
/** Those that name one. */
const targeted = ["connect", "send", "room:join", "room:publish", "room:history", "publish"] as const
/** Roles of the admin API: to look, to act, to publish as the server, all. */
export const adminRoles = ["viewer", "operator", "publisher", "owner"] as const

/** A capability without a target. */
export type PlainCapability = (typeof plain)[number] | `admin:${AdminRole}`
/** A capability that names a target. */
export type TargetedCapability = (typeof targeted)[number]
/** A role of the admin API. */
export type AdminRole = (typeof adminRoles)[number]

/** What a role allows: itself, and what it has in it. Who publishes need not see anybody's mail. */
const rolesIn: Readonly<Record<AdminRole, ReadonlyArray<AdminRole>>> = {
  viewer: ["viewer"],
  operator: ["viewer", "operator"],
  publisher: ["publisher"],
  owner: adminRoles,
}

/** What a token without a `nimbus` claim allows. */
export const defaults: ReadonlyArray<string> = ["connect:{sub}", "read", "ack", "send:*"]

/** Targets of one capability. */
interface Targets {
  readonly exact: Set<string>
  readonly prefixes: Array<string>
}

/** What a subject may do, looked up on hot paths. */
export class Grants {
  /** Everything: where there are no locks. Of the admin API it says nothing. */
  static readonly all = new Grants(true, new Set(), new Map())
  static readonly none = new Grants(false, new Set(), new Map())

  readonly #isAll: boolean
  readonly #plain: ReadonlySet<string>
  readonly #targets: ReadonlyMap<string, Targets>

  private constructor(isAll: boolean, plain: ReadonlySet<string>, targets: ReadonlyMap<string, Targets>) {
    this.#isAll = isAll
    this.#plain = plain
    this.#targets = targets
  }

  /** Reads capabilities. `own`: what `{sub}` stands for. One that is none fails, by its text: a slip must not go unseen. */
  static parse(capabilities: ReadonlyArray<string>, own: ClientId): Result.Result<Grants, string> {
    const allowed = new Set<string>()
    const targets = new Map<string, Targets>()
    for (const text of capabilities) {
      if (isPlain(text)) {
        allowed.add(text)
        continue
      }
      const role = adminRoles.find((role) => text === `admin:${role}`)
      if (role !== undefined) {
        for (const each of rolesIn[role]) allowed.add(`admin:${each}`)
        continue
      }
      const kind = targeted.find((kind) => text.startsWith(`${kind}:`))
      if (kind === undefined || text.length === kind.length + 1) return Result.fail(text)
      const of = targets.get(kind) ?? { exact: new Set<string>(), prefixes: [] }
      targets.set(kind, of)
      const target = filled(text.slice(kind.length + 1), own)
      if (target.endsWith("*")) of.prefixes.push(target.slice(0, -1))
      else of.exact.add(target)
    }
    return Result.succeed(new Grants(false, allowed, targets))
  }

  /** Whether it allows this. */
  may(capability: PlainCapability): boolean {
    if (this.#isAll) return !capability.startsWith("admin:")
    return this.#plain.has(capability)
  }

  /** Whether it allows this of this target. */
  mayOf(capability: TargetedCapability, target: string): boolean {
    if (this.#isAll) return true
    const targets = this.#targets.get(capability)
    if (targets === undefined) return false
    return targets.exact.has(target) || targets.prefixes.some((prefix) => target.startsWith(prefix))
  }
}

/** A capability as it is told to who lacks it. */
export const capabilityOf = (capability: TargetedCapability, target: string): string => `${capability}:${target}`

const allPlain: ReadonlySet<string> = new Set(plain)

const isPlain = (text: string): boolean => allPlain.has(text)

/** `{sub}/*` are the devices of the subject, whose ids have a mark of their own there. */
const filled = (target: string, own: ClientId): string =>
  target.replace(/^\{sub\}(\/?)/, (_, slash: string) => own + (slash === "" ? "" : deviceMark))
