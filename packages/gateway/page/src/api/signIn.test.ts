import { assert, describe, it } from "@effect/vitest"
import { afterEach, vi } from "vitest"

const origin = "http://127.0.0.1:3000"
const provider = "http://127.0.0.1:4000"
const signIn = {
  issuer: provider,
  authorizationEndpoint: `${provider}/auth`,
  tokenEndpoint: `${provider}/token`,
  clientId: "page",
  scope: "nimbus",
}

const answer = (access_token: string) =>
  Response.json({ access_token, token_type: "bearer", expires_in: 600, refresh_token: "refresh" })

/** A page that has signed in as `first`, and asks for its second token; `settle` gives the answer. */
const renewing = async () => {
  const kept = new Map<string, string>()
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, text: string) => kept.set(key, text),
    removeItem: (key: string) => kept.delete(key),
  })
  const location = { origin, pathname: "/chat", href: `${origin}/chat`, assign: vi.fn<(to: URL) => void>() }
  vi.stubGlobal("location", location)
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
  const second = Promise.withResolvers<Response>()
  const fetching = vi.fn().mockResolvedValueOnce(answer("first")).mockReturnValueOnce(second.promise)
  vi.stubGlobal("fetch", fetching)
  vi.resetModules()
  const { begin, complete, forget } = await import("./signIn.ts")
  const { enter, leave, token } = await import("./token.ts")
  location.assign.mockImplementation((to) => {
    location.href = `${origin}/sign-in?code=c&state=${to.searchParams.get("state")}`
  })
  await begin(signIn)
  assert.strictEqual(await complete(signIn), "/chat")
  assert.strictEqual(token.value, "first")
  await vi.advanceTimersByTimeAsync(600_000)
  await vi.waitUntil(() => fetching.mock.calls.length === 2)
  const settle = async () => {
    const read = answer("second")
    const json = vi.spyOn(read, "json")
    second.resolve(read)
    await vi.waitUntil(() => json.mock.settledResults[0]?.type === "fulfilled")
    // What follows the answer is done before the next timer.
    await vi.advanceTimersByTimeAsync(1)
  }
  return { forget, enter, leave, token, settle }
}

describe("a token that is renewed", () => {
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it("is the page's from then on", async () => {
    const { settle, token } = await renewing()
    await settle()
    assert.strictEqual(token.value, "second")
  })

  it("does not sign in again whoever has signed out meanwhile", async () => {
    const { forget, leave, settle, token } = await renewing()
    forget()
    leave()
    await settle()
    assert.isUndefined(token.value)
  })
})
