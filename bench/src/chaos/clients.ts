/** A load process: some of the clients, told what to do by its parent and telling it how they are. */
import type { FromClients, ToClients } from "./Fleet.ts"
import { breachesOf, sum } from "./Ledger.ts"
import { Member } from "./Member.ts"

const progress_every_ms = 50

const members: Array<Member> = []
const count = (f: (member: Member) => boolean): number => members.filter(f).length

const tell = (message: FromClients): void => {
  process.send?.(message)
}

const obey = async (order: ToClients): Promise<void> => {
  switch (order.order) {
    case "begin":
      for (const { clientId, url } of order.clients) {
        const member = new Member({ clientId, directory: order.directory, rate: order.rate })
        members.push(member)
        await member.live(url)
      }
      return
    case "move":
      await Promise.all(order.clients.map(({ index, url }) => members[index]?.live(url)))
      return
    case "mark":
      for (const member of members) member.mark()
      return
    case "finish":
      await Promise.all(members.map((member) => member.finish()))
      return
    case "judge":
      tell({ about: "verdict", breaches: sum(members.map(({ ledger }) => breachesOf(ledger))) })
      return
    case "leave":
      await Promise.all(members.map((member) => member.close()))
      process.disconnect()
  }
}

const report = (): void => {
  if (!process.connected) return
  tell({
    about: "progress",
    live: count(({ isLive }) => isLive),
    answered: count(({ isAnswered }) => isAnswered),
    accepted: members.reduce((sum, { ledger }) => sum + ledger.accepted, 0),
    shown: members.reduce((sum, { ledger }) => sum + ledger.shown.length, 0),
    failures: members.flatMap(({ failure }) => failure ?? []),
  })
}

let turn = Promise.resolve()
process.on("message", (message: { readonly number: number; readonly order: ToClients }) => {
  turn = turn
    .then(() => obey(message.order))
    .then(
      () => tell({ about: "done", number: message.number }),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
})
const timer = setInterval(report, progress_every_ms)
process.on("disconnect", () => {
  clearInterval(timer)
  process.exit(0)
})
