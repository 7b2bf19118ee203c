/**
 * Node's HTTP server with transports: a transport takes the upgrade requests of its path, or all of them, and
 * everything else goes on to the HTTP application. (An application of Effect upgrades too, but with a fiber per
 * connection and a writer that knows no backpressure.)
 *
 * A target in absolute form (`GET http://host/path HTTP/1.1`) is served as the path in it.
 *
 * A request has `request_ms` to come in, with its body; Node answers a slower one with 408 and closes the connection.
 * One on which nothing is asked is closed after `keep_alive_ms`. Responses wait for their clients within bounds:
 * `Turns`. Requests are read in the same turns as what comes at the transports: `FairReading`.
 *
 * Each request is admitted first, also one that upgrades (`Admission`). What is refused is answered here, as a request,
 * and no transport or route sees it.
 *
 * Before that, its address must be within its bounds (`addresses`). What each answers with a failure of the client's is
 * counted for it. Where there is TLS, a connection comes through its `Door` first.
 *
 * The port is open before the application is there, while the process waits for its services, and until after it has
 * gone. In between `/healthz` is answered 200, for the process is alive, and everything else 503: Node itself would
 * leave it without an answer.
 */
import { IncomingMessage, Server, ServerResponse } from "node:http"
import { Socket } from "node:net"
import { Duplex } from "node:stream"
import { Context, Effect, Layer, Option, type Scope } from "effect"
import {
  Addresses,
  type AddressGuard,
  messageOf as tooManyMessageOf,
  onClose,
  retrySeconds,
} from "../addresses/Addresses.ts"
import type { TooMany } from "../addresses/AddressBook.ts"
import type { Origins } from "../addresses/ClientAddress.ts"
import { EventLoopTurns } from "../sockets/EventLoopTurns.ts"
import { FairReading, type Reading } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import type { From, Shown } from "../access/Asking.ts"
import { type GatewayLimits, Limits } from "../Limits.ts"
import type { Door } from "../tls/Door.ts"
import { peerCertificateOf } from "../tls/PeerCertificates.ts"
import { Tls } from "../tls/Tls.ts"
import { type Admission, type AdmissionRules, admit, type Asked, isProbe, mayUseCookies } from "./Admission.ts"
import { Bodies } from "./Bodies.ts"
import { shownBy } from "./Carriers.ts"
import { Turns } from "./Turns.ts"

interface TooManyAsked {
  readonly _tag: "TooMany"
  readonly status: 429
  readonly code: TooMany["code"]
  readonly message: string
  readonly retryAfter: string
}

type Decision = Admission | TooManyAsked

const tooManyOf = (refusal: TooMany): TooManyAsked => ({
  _tag: "TooMany",
  status: 429,
  code: refusal.code,
  message: tooManyMessageOf(refusal),
  retryAfter: retrySeconds(refusal),
})

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/**
 * Told of a request that was refused before a transport or a route saw it, with the code of its row in docs/errors.md.
 */
export type RefusalHandler = (code: string) => void

interface Refused {
  readonly status: number
  readonly code: string
  readonly message: string
}

const busy: Refused = {
  status: 503,
  code: "BUSY",
  message: "the bodies of requests that are under way are too large together: send it again later, or in smaller ones",
}

const inPieces: Refused = {
  status: 400,
  code: "BAD_REQUEST",
  message: "the body comes in too many pieces that are too small: send it in larger chunks",
}

/** How often the server looks for requests that are too slow. */
const check_ms = 1_000

class TransportServer extends Server {
  readonly transports = new Map<string, UpgradeHandler>()
  readonly requests = new Map<string, RequestHandler>()
  readonly refusals = new Set<RefusalHandler>()
  private readonly rules: AdmissionRules
  private readonly reading: Reading
  private readonly turns: Turns
  /** Of all connections: what waits is one request of each. */
  private readonly serverTurns: EventLoopTurns
  private readonly bodies: Bodies
  private readonly addresses: AddressGuard
  /** Connections that are one too many for their address. */
  private readonly refusedSockets = new WeakMap<Duplex, TooMany>()
  /** Where there is TLS: what is accepted goes through it. */
  private readonly door: Door | undefined
  /** What was decided of a request, which is asked for twice where it upgrades. */
  private readonly admissions = new WeakMap<IncomingMessage, Decision>()

  constructor(
    limits: GatewayLimits,
    rules: AdmissionRules,
    addresses: AddressGuard,
    reading: Reading,
    timers: Timers["Service"],
    tls: Tls["Service"] | undefined,
  ) {
    const { close_ms, keep_alive_ms, request_ms } = limits
    super({
      requestTimeout: request_ms,
      keepAliveTimeout: keep_alive_ms,
      connectionsCheckingInterval: Math.min(check_ms, request_ms),
      // Elsewhere it is a request like any other. Taken off HTTP while another one's answer is on the way, it would get
      // none, and its socket would stay for ever.
      shouldUpgradeCallback: (request) =>
        isWebSocket(request) && this.transports.has(pathOf(request)) && this.admit(request)._tag === "Pass",
    })
    this.rules = rules
    this.reading = reading
    this.turns = new Turns(limits, reading, () => this.tellRefused("TOO_SLOW"))
    this.serverTurns = new EventLoopTurns(limits.requests_per_turn)
    this.bodies = new Bodies(limits, (response, why) => this.refuse(response, why === "too much" ? busy : inPieces))
    this.addresses = addresses
    this.door = tls?.door({
      protocol: "http/1.1",
      addresses,
      opened: (socket) => void super.emit("connection", socket),
      refused: (code) => this.tellRefused(code),
    })
    // Node would answer 417 on its own, past all bounds. RFC 9110, 10.1.1: an expectation may be left unmet without a word.
    this.on("checkExpectation", (request, response) => this.emit("request", request, response))
    this.on("connection", (socket) => {
      this.share(socket)
      if (this.door !== undefined) return
      const refusal = addresses.accept(socket.remoteAddress, onClose(socket))
      if (refusal === undefined) return
      this.refusedSockets.set(socket, refusal)
      timers.after(close_ms, () => socket.destroy())
    })
  }

  /**
   * Node's parser reads what the kernel brings on its own, all of it at once, unless somebody else asks for it as well.
   */
  private share(socket: Socket): void {
    socket.on("data", ask)
    socket.off("data", ask)
    this.reading.share(socket)
  }

  override closeAllConnections(): void {
    this.door?.close()
    super.closeAllConnections()
  }

  override emit(event: string, ...args: Array<unknown>): boolean {
    const [request, socket, head] = args
    if (event === "connection" && this.door !== undefined && request instanceof Socket) {
      this.door.take(request)
      return true
    }
    if (event === "clientError") this.tellBroken(request, socket)
    if (
      event === "upgrade" &&
      request instanceof IncomingMessage &&
      socket instanceof Duplex &&
      Buffer.isBuffer(head)
    ) {
      const transport = this.transports.get(pathOf(request))
      if (transport === undefined) socket.destroy()
      else transport(request, socket, head)
      return true
    }
    if (event === "request" && request instanceof IncomingMessage && socket instanceof ServerResponse) {
      this.reading.count()
      if (hasBody(request)) this.bodies.watch(request, socket)
      this.turns.take(request, socket, () => void this.serverTurns.take(() => this.answer(request, socket)))
      return true
    }
    return super.emit(event, ...args)
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    // Refused while it waited for its turn, for its body.
    if (response.writableEnded) return
    if (this.answerFirst(request, response)) return
    const transport = this.requests.get(pathOf(request)) ?? (this.listenerCount("request") === 0 ? absent : undefined)
    if (transport === undefined) super.emit("request", request, response)
    else transport(request, response)
  }

  private admit(request: IncomingMessage): Decision {
    const decided = this.admissions.get(request)
    if (decided !== undefined) return decided
    const decision = this.decide(request)
    this.admissions.set(request, decision)
    return decision
  }

  private decide(request: IncomingMessage): Decision {
    const path = pathOf(request)
    const origins = originsOf(request)
    // Health and metrics are answered to everybody, as far as connections are.
    const over = this.refusedSockets.get(request.socket) ?? (isProbe(path) ? undefined : this.addresses.ask(origins))
    if (over !== undefined) return tooManyOf(over)
    const admission = admit(askedBy(request), this.rules)
    const refusal = admission._tag === "Pass" ? this.open(request, path, origins) : undefined
    return refusal === undefined ? admission : tooManyOf(refusal)
  }

  /** A connection of its own was counted as it was accepted. One of a proxy carries others, too, unless it upgrades. */
  private open(request: IncomingMessage, path: string, origins: Origins): TooMany | undefined {
    if (isWebSocket(request) && this.transports.has(path)) {
      return this.addresses.openThrough(origins, onClose(request.socket))
    }
    return isFirstPoll(request, path) ? this.addresses.openThrough(origins) : undefined
  }

  /** What it shows of who asks. */
  shown(request: IncomingMessage): Shown {
    const { headers, url } = request
    const carried = shownBy({ headers, url, cookies: mayUseCookies(askedBy(request), this.rules) })
    const certificate = peerCertificateOf(request.socket)
    return certificate === undefined ? carried : { ...carried, certificate }
  }

  from(request: IncomingMessage): string | undefined {
    return this.addresses.from(originsOf(request))?.text
  }

  /** Something that it asked for was refused, by whom it was handed to. */
  failed(request: IncomingMessage): void {
    this.addresses.fail(originsOf(request))
  }

  /** Whether that is all of the answer. */
  private answerFirst(request: IncomingMessage, response: ServerResponse): boolean {
    const admission = this.admit(request)
    response.once("finish", () => {
      if (isFailure(response.statusCode)) this.failed(request)
    })
    for (const [name, value] of Object.entries(headersOf(admission))) response.setHeader(name, value)
    if (admission._tag === "Pass") return false
    if (admission._tag === "Preflight") {
      answerPreflight(request, response)
      return true
    }
    if (this.refusedSockets.has(request.socket)) response.setHeader("connection", "close")
    if (admission._tag === "TooMany") response.setHeader("retry-after", admission.retryAfter)
    this.refuse(response, admission)
    return true
  }

  private refuse(response: ServerResponse, { code, message, status }: Refused): void {
    this.tellRefused(code)
    if (response.headersSent) return void response.socket?.destroy()
    // Its body is not waited for.
    if (hasBody(response.req)) response.setHeader("connection", "close")
    const body = Buffer.from(JSON.stringify({ code, message }))
    response.writeHead(status, { "content-type": "application/json", "content-length": body.length }).end(body)
  }

  private tellRefused(code: string): void {
    for (const tell of this.refusals) tell(code)
  }

  /** Node answers what is too slow, or no HTTP. A peer that has just gone away is no fault of what it sent. */
  private tellBroken(error: unknown, socket: unknown): void {
    const code = error instanceof Error && "code" in error ? String(error.code) : ""
    const isTimeout = code === "ERR_HTTP_REQUEST_TIMEOUT"
    if (!isTimeout && !code.startsWith("HPE_")) return
    this.tellRefused(isTimeout ? "REQUEST_TIMEOUT" : "PROTOCOL_ERROR")
    if (socket instanceof Socket) this.addresses.fail({ ...unsaid, peer: socket.remoteAddress })
  }
}

/** The HTTP server that all transports of a gateway share. */
export class UpgradeServer extends Context.Service<
  UpgradeServer,
  {
    readonly server: Server
    /** It speaks TLS. */
    readonly isEncrypted: boolean
    /** Takes the upgrade requests of a path for as long as the scope lives. */
    handle(path: string, handler: UpgradeHandler): Effect.Effect<void, never, Scope.Scope>
    /** The same with its other requests. */
    handleRequests(path: string, handler: RequestHandler): Effect.Effect<void, never, Scope.Scope>
    onRefused(handler: RefusalHandler): Effect.Effect<void, never, Scope.Scope>
    /** An upgrade was refused after it was made. */
    failed(request: IncomingMessage): void
    /** What a request shows of who asks. */
    shown(request: IncomingMessage): Shown
    /** From where it comes. */
    from(request: IncomingMessage, transport: string): From
  }
>()("@nimbus/gateway/UpgradeServer") {
  static readonly layerWith = (rules: AdmissionRules) =>
    Layer.effect(
      UpgradeServer,
      Effect.gen(function* () {
        const tls = Option.getOrUndefined(yield* Effect.serviceOption(Tls))
        const server = new TransportServer(
          yield* Limits,
          rules,
          yield* Addresses,
          yield* FairReading,
          yield* Timers,
          tls,
        )
        return {
          server,
          isEncrypted: tls !== undefined,
          failed: (request) => server.failed(request),
          shown: (request) => server.shown(request),
          from: (request, transport) => ({ address: server.from(request), transport }),
          handle: (path, handler) =>
            Effect.acquireRelease(
              Effect.sync(() => server.transports.set(path, handler)),
              () => Effect.sync(() => server.transports.delete(path)),
            ),
          handleRequests: (path, handler) =>
            Effect.acquireRelease(
              Effect.sync(() => server.requests.set(path, handler)),
              () => Effect.sync(() => server.requests.delete(path)),
            ),
          onRefused: (handler) =>
            Effect.acquireRelease(
              Effect.sync(() => server.refusals.add(handler)),
              () => Effect.sync(() => server.refusals.delete(handler)),
            ),
        }
      }),
    ).pipe(Layer.provide(Timers.layer))
}

const ask = (): void => {}

const absent: RequestHandler = (request, response) => {
  const text = { "content-type": "text/plain" }
  if (pathOf(request) === "/healthz") response.writeHead(200, text).end("ok\n")
  else response.writeHead(503, { ...text, "retry-after": "1" }).end("not ready: starting or stopping\n")
}

/** Anything else that upgrades, or a WebSocket by another method, is answered as a request. */
const isWebSocket = ({ headers, method }: IncomingMessage): boolean =>
  method === "GET" && headers.upgrade?.toLowerCase() === "websocket"

/** Of Socket.IO: there is no session yet. */
const isFirstPoll = ({ url = "" }: IncomingMessage, path: string): boolean =>
  path === "/socket.io/" && !/[?&]sid=/.test(url)

/** A refusal for too many is not counted as another failure: a client that waits as asked is served again. */
const isFailure = (status: number): boolean => status >= 400 && status < 500 && status !== 429

const unsaid: Origins = { peer: undefined, forwardedFor: undefined, forwarded: undefined }

const originsOf = (request: IncomingMessage): Origins => ({
  peer: request.socket.remoteAddress,
  forwardedFor: headerOf(request, "x-forwarded-for"),
  forwarded: headerOf(request, "forwarded"),
})

const askedBy = (request: IncomingMessage): Asked => {
  const path = pathOf(request)
  const { headers, method = "" } = request
  return {
    method,
    path,
    host: headers.host,
    origin: headers.origin,
    site: headerOf(request, "sec-fetch-site"),
    contentType: headers["content-type"],
    hasBody: hasBody(request),
    asksFirst: headers["access-control-request-method"] !== undefined,
  }
}

const headerOf = ({ headers }: IncomingMessage, name: string): string | undefined => headers[name]?.toString()

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0

/**
 * Of every answer. One that may be kept, or is for all to read, says so itself, over these: what is not ours to guess
 * at, such as a result in JSON, neither a cache keeps nor a browser takes for something else.
 */
const headersOf = (admission: Decision): Readonly<Record<string, string>> => ({
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  ...("readableBy" in admission &&
    admission.readableBy !== undefined && { "access-control-allow-origin": admission.readableBy, vary: "origin" }),
})

/** How long a browser need not ask again. */
const preflight_sec = 600

/**
 * A page may use any header that it asks for. What a browser would send on its own, a cookie, counts only for pages that may
 * know who it is (`mayUseCookies`), and no answer lets another page send it: there is no `access-control-allow-credentials`.
 */
const answerPreflight = (request: IncomingMessage, response: ServerResponse): void => {
  const asked = headerOf(request, "access-control-request-headers")
  response
    .writeHead(204, {
      "access-control-allow-methods": "GET, HEAD, POST",
      ...(asked !== undefined && { "access-control-allow-headers": asked }),
      "access-control-max-age": String(preflight_sec),
      vary: "origin, access-control-request-headers",
    })
    .end()
}

/** RFC 9112, 3.2.2: the host of the target goes before that of the header. */
const toOriginForm = (request: IncomingMessage): void => {
  const [, host, target] = /^(?:http|ws)s?:\/\/(?:[^/?#]*@)?([^/?#]*)(.*)$/is.exec(request.url ?? "") ?? []
  if (host === undefined || target === undefined) return
  request.url = target.startsWith("/") ? target : `/${target}`
  request.headers.host = host
}

const pathOf = (request: IncomingMessage): string => {
  toOriginForm(request)
  const url = request.url ?? "/"
  const query = url.indexOf("?")
  return query === -1 ? url : url.slice(0, query)
}
