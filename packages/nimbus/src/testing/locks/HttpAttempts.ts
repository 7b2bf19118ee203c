/** The HTTP API and the admin API. */
import { Predicate } from "effect"
import { type Attempt, client, patience_ms, type Place } from "./Attempt.ts"

interface Try {
  readonly path: string
  readonly body?: object
  /** What else says that it was allowed: what is asked for is not there. */
  readonly isDone?: (code: string) => boolean
}

const ask =
  ({ body, isDone, path }: Try) =>
  async ({ http }: Place, token: string | undefined): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${http}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(patience_ms),
    })
    const text = await response.text()
    if (response.ok) return "OK"
    const said: unknown = JSON.parse(text)
    const code = Predicate.hasProperty(said, "code") ? String(said.code) : `status ${response.status}`
    return isDone?.(code) === true ? "OK" : code
  }

const attempt = (what: string, capability: string, how: Try, besides: ReadonlyArray<string> = []): Attempt => ({
  transport: how.path.startsWith("/v1/admin") ? "admin API" : "HTTP",
  what,
  capability,
  isAbout: !capability.startsWith("admin:"),
  besides,
  attempt: ask(how),
})

/** Nobody by this name is known, and there is no such record. */
const isAbsent = (code: string) => code === "NOT_FOUND"

export const http: ReadonlyArray<Attempt> = [
  attempt("to send a message", `publish:${client}`, {
    path: `/v1/clients/${client}/messages`,
    body: { name: "message", data: 1 },
  }),
  attempt("to cancel a task of a client", `publish:${client}`, {
    path: `/v1/clients/${client}/cancels`,
    body: { id: "e1" },
  }),
  attempt("to read results from the archive", "archive:read", { path: `/v1/clients/${client}/results` }, [
    `connect:${client}`,
  ]),
  attempt("to look", "admin:viewer", { path: "/v1/admin/status" }),
  attempt("to close a connection", "admin:operator", {
    path: `/v1/admin/clients/${client}/kick`,
    body: {},
    isDone: isAbsent,
  }),
  attempt("to publish an event anew", "admin:operator", {
    path: "/v1/admin/quarantine/0/0/retry",
    body: {},
    isDone: isAbsent,
  }),
]
