/** A table that scrolls sideways on its own where it is too wide, by keyboard too. */
import type { ComponentChildren } from "preact"

interface TableProps {
  /** What it is, for those who don't see where it stands. */
  readonly label: string
  /** Numbers stand to the right: `#` before their heading says so. */
  readonly headings: ReadonlyArray<string>
  readonly children: ComponentChildren
}

export const Table = ({ children, headings, label }: TableProps) => (
  <div class="scroll" role="region" aria-label={label} tabIndex={0}>
    <table>
      <thead>
        <tr>
          {headings.map((heading) => (
            <th key={heading} scope="col" class={heading.startsWith("#") ? "number" : undefined}>
              {heading.replace("#", "")}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </div>
)
