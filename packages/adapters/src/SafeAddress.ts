/** Addresses of what decides who is let in. What comes over a network that others write to is anybody's. */
import { Config } from "effect"

const isLoopback = ({ hostname }: URL): boolean => /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)

/** `https`, or this machine, without a user or a password; any machine where `isInsecure`. */
export const isSafe = (text: string, isInsecure: boolean): boolean => {
  const url = URL.parse(text)
  if (url === null || url.username !== "" || url.password !== "") return false
  return url.protocol === "https:" || (url.protocol === "http:" && (isInsecure || isLoopback(url)))
}

/** Plain `http` to other machines, for those who know that nobody else is there. */
export const insecure = Config.Boolean("NIMBUS_INSECURE").pipe(Config.withDefault(false))
