/** The topics: what they keep, who reads them, and how far behind the readers are. */
import type { PartitionView, TopicView } from "@nimbus/domain/admin"
import { count, many } from "../format.ts"
import { behind } from "../state/flow.ts"
import { snapshot } from "../state/live.ts"
import { Panel } from "./Panel.tsx"
import { Table } from "./Table.tsx"

export const Topics = () => {
  const shown = snapshot.value
  return (
    <Panel
      id="topics"
      title="Topics"
      aside={
        shown !== undefined &&
        shown.quarantined > 0 && <span class="warning">{many(shown.quarantined, "record")} quarantined</span>
      }
    >
      {(shown?.topics ?? []).map((topic) => (
        <Topic key={topic.topic} topic={topic} />
      ))}
    </Panel>
  )
}

const Topic = ({ topic }: { readonly topic: TopicView }) => (
  <details class="topic">
    <summary>
      <span class="topic-name">{topic.topic}</span>
      <span>{topic.group === undefined ? "" : `read by ${topic.group}`}</span>
      <span class="number">{count(topic.retained)} kept</span>
      <span class={topic.lag > behind ? "number lag" : "number"}>
        {topic.group === undefined ? "" : `lag ${count(topic.lag)}`}
      </span>
    </summary>
    <Table
      label={`${many(topic.partitions.length, "partition")} of ${topic.topic}`}
      headings={["#partition", "#earliest", "#end", "#committed", "#lag"]}
    >
      {topic.partitions.map((partition) => (
        <Partition key={partition.partition} partition={partition} />
      ))}
    </Table>
    {topic.partitions.map(
      ({ held, partition }) =>
        held !== undefined && (
          <p key={partition} class="quiet value">
            Partition {partition} waits for {held.name} of {held.clientId}
          </p>
        ),
    )}
  </details>
)

const Partition = ({ partition }: { readonly partition: PartitionView }) => (
  <tr>
    <th scope="row" class="number">
      {partition.partition}
    </th>
    <td class="number">{count(partition.earliest)}</td>
    <td class="number">{count(partition.end)}</td>
    <td class="number">{partition.committed === undefined ? "never" : count(partition.committed)}</td>
    <td class="number">{count(partition.lag)}</td>
  </tr>
)
