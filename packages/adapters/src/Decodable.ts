/** Whether the user or the password of a URL can be read: a `%` in it begins an escape. */
export const isDecodable = (text: string): boolean => {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
