/** A load process: some of the clients, told what to do by its parent and telling it how they are. */
import type { FromClients, Numbered, ToClients } from "./Fleet.ts"
import { breachesOf, detailsOf, isSound, sum } from "./Ledger.ts"
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
        const { batch, directory, rate } = order
        const member = new Member({ clientId, directory, rate, batch })
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
    case "burst":
      for (const member of members) {
        member.mark()
        member.sendSoon(order.within_ms)
      }
      return
    case "finish":
      await Promise.all(members.map((member) => member.finish()))
      return
    case "judge":
      tell({
        about: "verdict",
        breaches: sum(members.map(({ ledger }) => breachesOf(ledger))),
        details: members.flatMap(({ clientId, ledger }) =>
          isSound(breachesOf(ledger)) ? [] : `${clientId}: ${detailsOf(ledger)}`,
        ),
      })
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

/** Orders come one after the other. What is heard after one was done must not be older than it. */
const take = async ({ number, order }: Numbered): Promise<void> => {
  try {
    await turn
    await obey(order)
    report()
    tell({ about: "done", number })
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
}
process.on("message", (message: Numbered) => {
  turn = take(message)
})
const timer = setInterval(report, progress_every_ms)
process.on("disconnect", () => {
  clearInterval(timer)
  process.exit(0)
})
