/** The JSON that a record carries, or the beginning of it. */
import type { Payload as Shown } from "@nimbus/domain/admin"
import { bytes } from "../format.ts"
import { setJson } from "../json.ts"

const encoder = new TextEncoder()

export const Payload = ({ label, payload }: { readonly label: string; readonly payload: Shown }) => {
  const shown_bytes = encoder.encode(payload.text).length
  const isWhole = shown_bytes >= payload.bytes
  return (
    <>
      <h3>{label}</h3>
      <pre class="record-text" role="region" aria-label={label} tabIndex={0}>
        {isWhole ? setJson(payload.text) : payload.text}
      </pre>
      {!isWhole && (
        <p class="quiet">
          The first {bytes(shown_bytes)} of {bytes(payload.bytes)} are shown.
        </p>
      )}
    </>
  )
}
