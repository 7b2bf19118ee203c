/** One client: its status, its session, its mailbox and its newest events. */
import type { ClientId } from "@nimbus/domain/protocol"
import type { ClientView as Client, MailboxView } from "@nimbus/domain/admin"
import { Effect } from "effect"
import { useState } from "preact/hooks"
import type { Admin } from "../api/Admin.ts"
import { pageLimits } from "../Limits.ts"
import { bytes, count, time } from "../format.ts"
import { Answer, useAnswer } from "../parts/Answer.tsx"
import { Fact, Facts } from "../parts/Facts.tsx"
import { KickButton } from "../parts/KickButton.tsx"
import { Panel } from "../parts/Panel.tsx"
import { PodName } from "../parts/PodName.tsx"
import { StatusBadge } from "../parts/StatusBadge.tsx"
import { Table } from "../parts/Table.tsx"
import { journeyPath } from "../router.ts"

export const ClientView = ({ clientId }: { readonly clientId: ClientId }) => {
  const [asked, setAsked] = useState(0)
  const params = { clientId }
  const question = (admin: Admin["Service"]) =>
    Effect.all([admin.client({ params }), admin.mailbox({ params, query: { limit: pageLimits.mailbox_records } })], {
      concurrency: 2,
    })
  const answer = useAnswer(question, asked)
  return (
    <>
      <div class="view-head">
        <h1>
          Client <code>{clientId}</code>
        </h1>
        <button type="button" onClick={() => setAsked(asked + 1)}>
          Look again
        </button>
        {answer?._tag === "Success" && <KickButton clientId={clientId} onKicked={() => setAsked(asked + 1)} />}
      </div>
      <Answer answer={answer}>
        {([client, mailbox]) => (
          <div class="columns">
            <Panel id="standing" title="Where it stands">
              <Standing client={client} />
            </Panel>
            <Panel id="mailbox" title="Mailbox">
              <Mailbox mailbox={mailbox} />
            </Panel>
            <Panel id="last-events" title="Newest events">
              <LastEvents client={client} />
            </Panel>
          </div>
        )}
      </Answer>
    </>
  )
}

const Standing = ({ client: { partition, registry, session } }: { readonly client: Client }) => (
  <Facts>
    <Fact name="status">
      {registry === undefined ? "not known to the registry" : <StatusBadge status={registry.status} />}
    </Fact>
    {registry !== undefined && (
      <>
        <Fact name="gateway">
          <PodName pod={registry.pod} />
        </Fact>
        <Fact name="epoch">{registry.epoch}</Fact>
      </>
    )}
    <Fact name="partition">{partition}</Fact>
    {session !== undefined && (
      <>
        <Fact name="transport">{session.door}</Fact>
        <Fact name="sent up to">{session.upTo}</Fact>
        <Fact name="acknowledged up to">{session.acknowledged}</Fact>
      </>
    )}
  </Facts>
)

const Mailbox = ({ mailbox }: { readonly mailbox: MailboxView }) => (
  <>
    <Facts>
      <Fact name="results">{count(mailbox.results)}</Fact>
      <Fact name="size">{bytes(mailbox.bytes)}</Fact>
      <Fact name="acknowledged up to">{mailbox.acked}</Fact>
      <Fact name="removed by limits up to">{mailbox.floor === -1 ? "nothing" : mailbox.floor}</Fact>
    </Facts>
    {mailbox.records.length > 0 && (
      <Table label="The oldest results in the mailbox" headings={["seq", "result"]}>
        {mailbox.records.map(({ seq, value }) => (
          <tr key={seq}>
            <th scope="row">
              <a href={journeyPath(mailbox.clientId, seq)}>{seq}</a>
            </th>
            <td class="value">
              <code>{value}</code>
            </td>
          </tr>
        ))}
      </Table>
    )}
    {mailbox.more && <p class="quiet">The oldest {mailbox.records.length} are shown.</p>}
  </>
)

const LastEvents = ({ client: { clientId, lastEvents } }: { readonly client: Client }) =>
  lastEvents.length === 0 ? (
    <p class="quiet">None was found in the newest records of its partition.</p>
  ) : (
    <Table label="List of newest events" headings={["seq", "time", "type", "name", "id"]}>
      {lastEvents.map((event) => (
        <tr key={event.seq}>
          <th scope="row">
            <a href={journeyPath(clientId, event.seq)}>{event.seq}</a>
          </th>
          <td>{time(event.time)}</td>
          <td>{event.type}</td>
          <td class="word">{event.name}</td>
          <td class="word">
            <code>{event.id}</code>
          </td>
        </tr>
      ))}
    </Table>
  )
