/** The changelog that a package has in its tarball. What no release has written into it yet, its changesets, stands above. */
export const withPending = (
  changelog: string,
  { name, version }: { readonly name: string; readonly version: string },
  changesets: ReadonlyArray<string>,
): string => {
  const pending = changesets.flatMap((changeset) => {
    const [, heads = "", body = ""] = /^---\n(.*?)\n---\n(.*)$/s.exec(changeset) ?? []
    return heads.includes(`"${name}":`) ? [`- ${body.trim().replaceAll("\n", "\n  ")}`] : []
  })
  if (pending.length === 0) return changelog
  const [title = "", ...rest] = changelog.split("\n")
  return [title, "", `## ${version}, not released yet`, "", ...pending, ...rest].join("\n")
}
