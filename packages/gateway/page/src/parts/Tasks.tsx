/** The tasks that have not ended: where each runs, since when, and what waits for a worker. */
import type { TaskRow } from "@nimbus/domain/admin"
import { count, duration } from "../format.ts"
import { clientPath } from "../router.ts"
import { snapshot } from "../state/live.ts"
import { CancelButton } from "./CancelButton.tsx"
import { Panel } from "./Panel.tsx"
import { PodName } from "./PodName.tsx"
import { Table } from "./Table.tsx"

export const Tasks = () => {
  const shown = snapshot.value
  if (shown === undefined) return null
  const { more, running, tasks, unread, waiting } = shown.tasks
  return (
    <Panel id="tasks" title="Tasks" aside={<span>{`${count(running)} running, ${count(waiting)} waiting`}</span>}>
      {tasks.length === 0 ? (
        <p class="quiet">No task runs or waits.</p>
      ) : (
        <Table label="List of tasks" headings={["client", "task", "for", "#attempt", "worker", "id", "cancel"]}>
          {tasks.map((task) => (
            <Row key={`${task.clientId} ${task.seq}`} task={task} now={shown.pulse.at} />
          ))}
        </Table>
      )}
      {more && (
        <p class="quiet">
          There are more: <code>nimbus tasks</code> finds them by client and by name.
        </p>
      )}
      {unread > 0 && <p class="quiet">{count(unread)} records of the tasks topic are still to be read.</p>}
    </Panel>
  )
}

const Row = ({ now, task }: { readonly now: number; readonly task: TaskRow }) => {
  const { clientId, id, name, run, since } = task
  return (
    <tr>
      <th scope="row">
        <a href={clientPath(clientId)}>{clientId}</a>
      </th>
      <td class="word">{name}</td>
      <td>{duration(Math.max(0, now - (run?.since ?? since)))}</td>
      <td class="number">{run?.attempt}</td>
      <td>{run === undefined ? "waits" : <PodName pod={run.worker} />}</td>
      <td class="word">
        <code>{id}</code>
      </td>
      <td>
        <CancelButton task={task} />
      </td>
    </tr>
  )
}
