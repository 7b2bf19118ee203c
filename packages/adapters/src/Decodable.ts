/** Whether the user and the password of a URL can be decoded: a `%` in them must begin an escape. */
export const isDecodable = (text: string): boolean => {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
