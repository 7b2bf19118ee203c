/**
 * Tokens for a server with locks: those of honest clients, and what an attacker shows instead. All are signed with one
 * secret, as the smallest installation has it.
 */
import { createHmac, randomBytes } from "node:crypto"
import type { Dice } from "@nimbus/domain/testing/dice"

const issuer = "https://issuer.test"
const audience = "fuzz"

/** What each transport is met with. Nobody is who looks on. */
const capabilities = (client: string) => [
  "connect:{sub}",
  "read",
  "ack",
  "cancel",
  "send:*",
  "room:join:*",
  "room:publish:*",
  "room:history:*",
  "broadcast",
  "archive:read",
  `publish:${client}`,
  ...(client === "nobody" ? ["admin:viewer"] : []),
]

export class Tokens {
  readonly #secret = randomBytes(32).toString("hex")

  /** What the server is told. */
  get env(): Readonly<Record<string, string>> {
    return {
      NIMBUS_AUTH_ISSUER: issuer,
      NIMBUS_AUTH_AUDIENCE: audience,
      NIMBUS_AUTH_CLIENT_CLAIM: "sub",
      NIMBUS_AUTH_SECRET: this.#secret,
      // Many connections are of few clients here, and their pace is met elsewhere.
      NIMBUS_CONNECTIONS_PER_SUBJECT: "100000",
      NIMBUS_FRAMES_PER_SUBJECT: "1000000",
      NIMBUS_BYTES_PER_SUBJECT: "1000000000",
    }
  }

  /** One that counts. */
  of(client: string): string {
    return this.#signed({ ...claims(client), nimbus: capabilities(client) })
  }

  /** One that counts for nothing, or for another. */
  hostile(client: string, dice: Dice): string {
    const valid = this.of(client)
    const [head = "", body = "", signature = ""] = valid.split(".")
    const at = dice.below(valid.length)
    return dice.oneOf([
      "x",
      "a.b.c",
      `${head}.${body}.`,
      `${encoded({ alg: "none" })}.${body}.`,
      `${encoded({ alg: dice.oneOf(["RS256", "HS256", "__proto__", ""]), kid: "../../etc/passwd" })}.${body}.${signature}`,
      `${head}.${encoded({ ...claims(client), sub: "honest-native", nimbus: ["admin:owner"] })}.${signature}`,
      `${valid.slice(0, at)}${dice.oneOf(["A", ".", "-", ""])}${valid.slice(at + 1)}`,
      "x".repeat(5_000),
      this.#signed({ ...claims(client), exp: 1 }),
      this.#signed({ ...claims(client), aud: "another" }),
      this.#signed({ ...claims(client), iss: "https://another.test" }),
      this.#signed({ ...claims(client), sub: dice.oneOf(["", "x".repeat(500), "\u0000"]) }),
      this.#signed({ ...claims(client), nimbus: dice.oneOf<unknown>([[], ["connect:*", "nothing"], 7, null]) }),
      this.#signed({ ...claims("stranger"), nimbus: [`connect:${client}`, "read"] }),
    ])
  }

  #signed(body: object): string {
    const text = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded(body)}`
    return `${text}.${createHmac("sha256", this.#secret).update(text).digest("base64url")}`
  }
}

const claims = (sub: string) => {
  const iat = Math.floor(Date.now() / 1000)
  return { iss: issuer, aud: audience, sub, iat, exp: iat + 3_600 }
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")
