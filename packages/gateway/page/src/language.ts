/**
 * Run before all else (index.html). A browser may name a language that `Intl` refuses: Chromium under the locale C says
 * `en-US@posix`. The charts' library asks for it as it is loaded, and the page would stay empty.
 */
try {
  Intl.getCanonicalLocales(navigator.language)
} catch {
  Object.defineProperty(navigator, "language", { value: "en", configurable: true })
}
