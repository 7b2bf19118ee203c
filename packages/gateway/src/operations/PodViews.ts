/** The processes of an installation: the gateways that the registry knows, and all that say that they are there. */
import { type Member, Members } from "@nimbus/domain/services"
import { AdminUnavailable, type PodView } from "@nimbus/domain/admin"
import { Effect, Option } from "effect"

/** Completes what a census says of gateways by what they say of themselves, and finds the other processes. */
export const makePodViews = Effect.map(Effect.serviceOption(Members), (members) => {
  const all: Effect.Effect<ReadonlyArray<Member>, AdminUnavailable> = Option.match(members, {
    onNone: () => Effect.succeed([]),
    onSome: ({ all }) =>
      Effect.mapError(all, ({ code }) => new AdminUnavailable({ message: `the processes can't be listed: ${code}` })),
  })
  return (gateways: ReadonlyArray<PodView>) => Effect.map(all, (members) => podViews(gateways, members))
})

export const podViews = (
  gateways: ReadonlyArray<PodView>,
  members: ReadonlyArray<Member>,
): { readonly gateways: ReadonlyArray<PodView>; readonly others: ReadonlyArray<PodView> } => {
  const known = new Set(gateways.map(({ pod }) => pod))
  const saying = new Map(members.map((member) => [member.id, member]))
  return {
    gateways: gateways.map((view): PodView => {
      const member = saying.get(view.pod)
      return member === undefined ? view : Object.assign(aboutOf(member), view)
    }),
    // A gateway without a lease holds nobody, whatever it says.
    others: members
      .filter(({ id }) => !known.has(id))
      .map((member) =>
        Object.assign(aboutOf(member), { pod: member.id, clients: 0, isLive: !member.role.startsWith("gateway") }),
      ),
  }
}

const aboutOf = ({ address, host, role }: Member) => ({ address, host, role })
