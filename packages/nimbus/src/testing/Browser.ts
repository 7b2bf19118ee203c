/**
 * A real Chromium, as the package `@sparticuz/chromium` carries it: nothing is downloaded when it is needed.
 *
 * It is unpacked once, into a directory that its version names, and started from there. A machine that lacks the shared
 * libraries that a browser needs is given those of the package; its text is set in the font of the package, so that
 * pictures look the same everywhere.
 */
import { execFile, spawn } from "node:child_process"
import { createReadStream, createWriteStream, existsSync } from "node:fs"
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pipeline } from "node:stream/promises"
import { createBrotliDecompress } from "node:zlib"
import { Effect, Schema } from "effect"
import { type Browser, chromium } from "playwright-core"

const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium")
const carried = join(dirname(dirname(entry)), "bin")
const decodeManifest = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))
/** Its sandbox does not work for root, which CI is. */
const flags = ["--no-sandbox", "--headless=shell", "--font-render-hinting=none", "--disable-dev-shm-usage"]

/** It only ends what would never come, on a machine that may be busy. */
const launch_timeout_ms = 100_000

/** A browser with these flags besides, closed with the scope. */
export const browserWith = (more: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(async (): Promise<Browser> => {
      const home = await unpacked()
      const executablePath = join(home, "chromium")
      const fonts = { ...process.env, FONTCONFIG_FILE: join(home, "fonts.conf") }
      const env = (await starts(executablePath, fonts)) ? fonts : { ...fonts, LD_LIBRARY_PATH: join(home, "lib") }
      return chromium.launch({ executablePath, args: [...flags, ...more], env, timeout: launch_timeout_ms })
    }),
    (browser) => Effect.promise(() => browser.close()),
  )

export const browser = browserWith([])

/** Where it is unpacked; done by a rename, so that a process that finds it there finds all of it. */
const unpacked = async (): Promise<string> => {
  const { version } = decodeManifest(await readFile(join(dirname(carried), "package.json"), "utf8"))
  const home = join(tmpdir(), `nimbus-chromium-${version}-${process.getuid?.() ?? 0}`)
  if (existsSync(home)) return home
  const stage = await mkdtemp(`${home}-`)
  try {
    await pipeline(
      createReadStream(join(carried, "chromium.br")),
      createBrotliDecompress(),
      createWriteStream(join(stage, "chromium"), { mode: 0o755 }),
    )
    await untar("fonts", join(stage, "fonts"))
    await untar("al2023", stage)
    await writeFile(join(stage, "fonts.conf"), fontsIn(join(home, "fonts")))
    await rename(stage, home)
  } catch (error) {
    await rm(stage, { recursive: true, force: true })
    // Somebody else was faster.
    if (!existsSync(home)) throw error
  }
  return home
}

const untar = async (name: string, into: string): Promise<void> => {
  await mkdir(into, { recursive: true })
  const tar = spawn("tar", ["-x", "-C", into], { stdio: ["pipe", "ignore", "inherit"] })
  const ended = new Promise<void>((resolve, reject) => {
    tar.once("error", reject)
    tar.once("close", (code) => (code === 0 ? resolve() : reject(new Error(`tar of ${name} ended with ${code}`))))
  })
  await pipeline(createReadStream(join(carried, `${name}.tar.br`)), createBrotliDecompress(), tar.stdin)
  await ended
}

const fontsIn = (directory: string): string => {
  const prefer = (family: string, font: string) =>
    `<alias binding="strong"><family>${family}</family><prefer><family>${font}</family></prefer></alias>`
  return [
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>`,
    `<dir>${directory}</dir><dir>/usr/share/fonts</dir><cachedir>${directory}-cache</cachedir>`,
    prefer("system-ui", "Open Sans"),
    prefer("sans-serif", "Open Sans"),
    prefer("monospace", "DejaVu Sans Mono"),
    `</fontconfig>`,
  ].join("\n")
}

const starts = (executable: string, env: NodeJS.ProcessEnv): Promise<boolean> =>
  new Promise((resolve) => {
    execFile(executable, ["--version"], { env }, (error) => resolve(error === null))
  })
