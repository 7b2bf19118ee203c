/** A titled part of a view. */
import type { ComponentChildren } from "preact"

interface PanelProps {
  readonly id: string
  readonly title: string
  /** Beside the title. */
  readonly aside?: ComponentChildren
  readonly children: ComponentChildren
}

export const Panel = ({ aside, children, id, title }: PanelProps) => (
  <section class={`panel ${id}`} aria-labelledby={`${id}-title`}>
    <div class="panel-head">
      <h2 id={`${id}-title`}>{title}</h2>
      {aside}
    </div>
    {children}
  </section>
)
