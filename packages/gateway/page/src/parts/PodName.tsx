/** The id of a pod, cut short where it is long: the whole stands in its title. */
const shown_characters = 11

export const PodName = ({ pod }: { readonly pod: string }) => (
  <code title={pod}>{pod.length > shown_characters ? `${pod.slice(0, shown_characters)}…` : pod}</code>
)
