/** Messages for a client, posted as any service would: `POST /v1/clients/:id/messages`, a batch at a time. */
import { pageLimits } from "../Limits.ts"

/** Done once the log has them; says after each batch how many it has. */
export const postMessages = async (
  clientId: string,
  first: number,
  count: number,
  onPosted: (posted: number) => void,
): Promise<void> => {
  for (let posted = 0; posted < count; posted += pageLimits.mail_batch_messages) {
    const size = Math.min(pageLimits.mail_batch_messages, count - posted)
    const messages = Array.from({ length: size }, (_, i) => ({ name: "news", data: { number: first + posted + i } }))
    const response = await fetch(`/v1/clients/${encodeURIComponent(clientId)}/messages`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(messages),
    })
    if (!response.ok) throw new Error(`The gateway answered ${response.status}: ${await response.text()}`)
    await response.text()
    onPosted(posted + size)
  }
}
