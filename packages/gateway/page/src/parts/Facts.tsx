/** Names with their values. */
import type { ComponentChildren } from "preact"

export const Facts = ({ children }: { readonly children: ComponentChildren }) => <dl class="facts">{children}</dl>

export const Fact = ({ children, name }: { readonly name: string; readonly children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)
