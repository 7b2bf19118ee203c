/** What an operator has to put right: the warnings of `/readyz`, such as that everybody may do everything. */
import { snapshot } from "../state/live.ts"

export const Warnings = () => {
  const warnings = snapshot.value?.warnings ?? []
  if (warnings.length === 0) return null
  return (
    <section class="warnings" aria-label="Warnings" role="alert">
      {warnings.map((warning) => (
        <p key={warning}>Warning: {warning}</p>
      ))}
    </section>
  )
}
