/**
 * The links of a page in a tarball. A page of this repository points to sources, examples and pictures that no tarball has.
 * There, such a link is its words alone, and such a picture is what it shows, in words.
 */

/** Where a page's links lead to, but for those in code, on the page itself and to elsewhere. */
export const linkedPaths = (page: string): ReadonlyArray<string> => {
  const paths: Array<string> = []
  withoutDeadLinks(page, (path) => {
    paths.push(path)
    return true
  })
  return paths
}

/** `isThere`: whether the tarball has what a path leads to. */
export const withoutDeadLinks = (page: string, isThere: (path: string) => boolean): string =>
  page
    .split(/(```.*?```)/s)
    .map((part) => (part.startsWith("```") ? part : part.replaceAll(link, replacementBy(isThere))))
    .join("")

const link = /!?\[([^\]]*)\]\(([^)\s]+)\)/g

const replacementBy =
  (isThere: (path: string) => boolean) =>
  (link: string, words: string, target: string): string => {
    const [path = ""] = target.split("#")
    return path === "" || /^[a-z]+:/.test(target) || isThere(path) ? link : words
  }
