/** Who says who somebody is: how issuers are spelled, and at which addresses they may be asked. */

/** Issuers are the same with or without a slash at their end: providers differ in it from what people copy. */
export const canonicalIssuer = (issuer: string): string => issuer.replace(/\/$/, "")

const isLoopback = ({ hostname }: URL): boolean => /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)

/**
 * Whether nobody on the way can put himself in the place of this address: `https`, or this machine, without a user or a
 * password; any machine where `isInsecure`.
 */
export const isSafeAddress = (text: string, isInsecure: boolean): boolean => {
  const url = URL.parse(text)
  if (url === null || url.username !== "" || url.password !== "") return false
  return url.protocol === "https:" || (url.protocol === "http:" && (isInsecure || isLoopback(url)))
}
