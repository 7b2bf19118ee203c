/** A load process: some of the clients, told what to do by its parent and telling it how they are. */
import type { Beginning, FromClients, Numbered, ToClients } from "./Fleet.ts"
import { breachesOf, detailsOf, isSound, type Ledger, sum, upToLastShown } from "./Ledger.ts"
import { Member } from "./Member.ts"
import { isEnded, taskBreachesOf, taskDetailsOf, type TaskSeen } from "./TasksSeen.ts"

const progress_every_ms = 50

const members: Array<Member> = []
const count = (f: (member: Member) => boolean): number => members.filter(f).length

const tell = (message: FromClients): void => {
  process.send?.(message)
}

/** So many connect at once. */
const at_once = 50

const begin = async ({ asksTasks, batch, clients, directory, rate }: Beginning): Promise<void> => {
  members.push(...clients.map(({ clientId }) => new Member({ clientId, directory, rate, batch, asksTasks })))
  for (let from = 0; from < clients.length; from += at_once) {
    const some = clients.slice(from, from + at_once)
    await Promise.all(some.map(({ url }, i) => members[from + i]?.live(url)))
  }
}

const obey = async (order: ToClients): Promise<void> => {
  switch (order.order) {
    case "begin":
      await begin(order)
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
    case "flood":
      members.filter((_, i) => i % order.every === 0).forEach((member) => member.flood(order.count))
      return
    case "finish":
      await Promise.all(members.map((member) => member.finish()))
      return
    case "review":
      return tellVerdict(
        ({ ledger }) => upToLastShown(ledger),
        (task) => isEnded(task),
      )
    case "judge":
      return tellVerdict(
        ({ ledger }) => ledger,
        () => true,
      )
    case "leave":
      await Promise.all(members.map((member) => member.close()))
      process.disconnect()
  }
}

/** `isJudged`: of a task. */
const tellVerdict = (ledgerOf: (member: Member) => Ledger, isJudged: (task: TaskSeen) => boolean): void => {
  const judged = members.flatMap((member) => {
    const { clientId, ledger, tasks } = member
    const ofTasks = [...tasks]
      .filter(([, task]) => isJudged(task))
      .map(([id, task]) => ({ breaches: taskBreachesOf(task), details: () => taskDetailsOf(id, task) }))
    const all = [{ breaches: breachesOf(ledgerOf(member)), details: () => detailsOf(ledger) }, ...ofTasks]
    return all.map(({ breaches, details }) => ({ breaches, details: () => `${clientId}: ${details()}` }))
  })
  tell({
    about: "verdict",
    breaches: sum(judged.map(({ breaches }) => breaches)),
    details: judged.flatMap(({ breaches, details }) => (isSound(breaches) ? [] : details())),
  })
}

const report = (): void => {
  if (!process.connected) return
  tell({
    about: "progress",
    live: count(({ isLive }) => isLive),
    answered: count(({ isAnswered }) => isAnswered),
    accepted: members.reduce((sum, { ledger }) => sum + ledger.accepted, 0),
    shown: members.reduce((sum, { ledger }) => sum + ledger.shown.length, 0),
    tasks: members.reduce((sum, { tasks }) => sum + tasks.size, 0),
    openTasks: members.reduce((sum, { openTasks }) => sum + openTasks, 0),
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
