/** What happened to one event, hop by hop, with times; what nobody has seen is shown as missing. */
import type { ClientId, Seq } from "@nimbus/domain/protocol"
import type { JourneyView as Journey } from "@nimbus/domain/admin"
import { useEffect, useState } from "preact/hooks"
import { pageLimits } from "../Limits.ts"
import { count } from "../format.ts"
import { Answer, useAnswer } from "../parts/Answer.tsx"
import { Fact, Facts } from "../parts/Facts.tsx"
import { Hop } from "../parts/Hop.tsx"
import { Panel } from "../parts/Panel.tsx"
import { Payload } from "../parts/Payload.tsx"
import { clientPath } from "../router.ts"

interface JourneyViewProps {
  readonly clientId: ClientId
  readonly seq: Seq
}

export const JourneyView = ({ clientId, seq }: JourneyViewProps) => {
  const params = { clientId, seq }
  const [asked, setAsked] = useState(0)
  const answer = useAnswer((admin) => admin.journey({ params }), asked)
  const isUnderWay = answer?._tag === "Success" && !isOver(answer.success.place)
  useEffect(() => {
    if (!isUnderWay || asked === pageLimits.journey_looks) return
    const timer = setTimeout(() => setAsked(asked + 1), pageLimits.journey_every_ms)
    return () => clearTimeout(timer)
  }, [answer])
  return (
    <>
      <h1>
        Journey of <a href={clientPath(clientId)}>{clientId}</a>, seq {count(seq)}
      </h1>
      <Answer answer={answer}>
        {(journey) => (
          <div class="columns">
            <div class="stack">
              <Panel id="event" title="The event">
                <About journey={journey} />
              </Panel>
              <Panel id="payload" title="Its payload">
                <Payloads journey={journey} />
              </Panel>
            </div>
            <Panel id="hops" title="Its hops">
              <Hops journey={journey} />
            </Panel>
          </div>
        )}
      </Answer>
    </>
  )
}

/** Nothing more will be known of it. */
const isOver = (place: Journey["place"]): boolean => place === "acknowledged" || place === "tasks"

const places = {
  events: "in the events topic, not yet handled",
  tasks: "with the task workers, or ended: its parts and its end have places of their own",
  results: "in the results topic, or on its way to the client",
  mailbox: "in the client's mailbox",
  acknowledged: "with the client, which has acknowledged it",
  unknown: "not known",
}

const About = ({ journey: { event, isFollowed, place, traceId } }: { readonly journey: Journey }) => (
  <Facts>
    {event !== undefined && (
      <>
        <Fact name="type">{event.type}</Fact>
        <Fact name="name">{event.name}</Fact>
        <Fact name="id">
          <code>{event.id}</code>
        </Fact>
      </>
    )}
    <Fact name="where it is">{places[place]}</Fact>
    <Fact name="sampled">{isFollowed ? "yes" : "no: only what the log has is shown"}</Fact>
    {traceId !== undefined && (
      <Fact name="trace">
        <code>{traceId}</code>
      </Fact>
    )}
  </Facts>
)

const Payloads = ({ journey: { event, result, sent } }: { readonly journey: Journey }) => (
  <>
    {sent !== undefined && (
      <Payload label={event?.type === "message" ? "What a service sent" : "What the client sent"} payload={sent} />
    )}
    {result !== undefined && <Payload label="What the client gets" payload={result} />}
    {sent === undefined && result === undefined && <p class="quiet">It is no longer retained.</p>}
  </>
)

const Hops = ({ journey: { hops } }: { readonly journey: Journey }) =>
  hops.length === 0 ? (
    <p class="quiet">Nothing is known of its hops.</p>
  ) : (
    <ol class="hops">
      {hops.map((hop, i) => (
        <Hop key={i} hop={hop} />
      ))}
    </ol>
  )
