/**
 * Pages of other sites in a real Chromium whose own guard of loopback addresses is switched off, so that what they send
 * arrives. Names under `example` lead to this machine, by the resolver of that browser. What a site serves there, before
 * its name leads here, is answered in the browser.
 */
import type { Browser, BrowserContext, Page } from "playwright-core"
import { browserWith } from "./Browser.ts"

const guards = "LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessForNavigations"

export const gullibleBrowser = browserWith([
  "--host-resolver-rules=MAP *.example 127.0.0.1",
  `--disable-features=${guards}`,
])

/** What a browser keeps of a visitor. */
export type Cookie = Parameters<BrowserContext["addCookies"]>[0][number]

/** A page of this origin, whose site serves nothing but the page, in a profile with these cookies alone. */
export const pageAt = async (
  browser: Browser,
  origin: string,
  use: (page: Page) => Promise<void>,
  cookies: ReadonlyArray<Cookie> = [],
): Promise<void> => {
  const context = await browser.newContext()
  try {
    await context.addCookies(cookies)
    const page = await context.newPage()
    const home = `${origin}/site`
    await page.route(home, (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }))
    await page.goto(home)
    await use(page)
  } finally {
    await context.close()
  }
}

/** The type of the first frame that a socket of the page hears, or that it is closed. */
export const socket = (page: Page, url: string) =>
  page.evaluate(`new Promise((resolve) => {
    const socket = new WebSocket("${url}")
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).type)
    socket.onclose = () => resolve("closed")
  })`)

/** What a page can read of an answer: its status, or that it may read nothing. */
export const ask = (page: Page, url: string, init: object = {}) =>
  page.evaluate(`fetch("${url}", ${JSON.stringify(init)}).then(({ status }) => status, () => "unreadable")`)

const message = JSON.stringify({ name: "news", data: { number: 1 } })
export const json = { method: "POST", headers: { "content-type": "application/json" }, body: message }
export const plain = { method: "POST", mode: "no-cors", body: message }

/** A form whose only field, by its name and value, reads as JSON. */
export const form = (url: string, type: string) => `
  const form = Object.assign(document.createElement("form"), { method: "POST", action: "${url}", enctype: "${type}" })
  const field = Object.assign(document.createElement("input"), { name: '{"name":"news","data":"', value: '"}' })
  form.append(field)
  document.body.append(form)
  form.submit()`

export const forms = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]

/** How many requests were refused so, as the server counts them. */
export const refusedBy = async (port: number, code: string, headers: Readonly<Record<string, string>> = {}) => {
  const text = await fetch(`http://127.0.0.1:${port}/metrics`, { headers }).then((response) => response.text())
  return Number(new RegExp(`nimbus_gateway_refused_total\\{code="${code}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0)
}
