/** The gateways, by their leases. */
import { count } from "../format.ts"
import { picture } from "../state/live.ts"
import { Panel } from "./Panel.tsx"
import { Table } from "./Table.tsx"

export const Pods = () => {
  const shown = picture.value
  return (
    <Panel id="pods" title="Gateways">
      <Table label="Gateways" headings={["pod", "lease", "#clients"]}>
        {(shown?.pods ?? []).map(({ clients, isLive, pod }) => (
          <tr key={pod}>
            <th scope="row">
              <code>{pod}</code>
              {pod === shown?.pod && " (this one)"}
            </th>
            <td>{isLive ? "held" : <span class="warning">run out</span>}</td>
            <td class="number">{count(clients)}</td>
          </tr>
        ))}
      </Table>
    </Panel>
  )
}
