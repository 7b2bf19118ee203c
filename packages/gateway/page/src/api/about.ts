/** What the gateway says before anybody has signed in. */
import { signal } from "@preact/signals"
import { PageView } from "@nimbus/domain/admin"
import { Schema } from "effect"

/** Until it has answered, and where it does not: no provider, and everything is there. */
export const about = signal<PageView>({ hasLocks: false, hasClients: true })

const decode = Schema.decodeUnknownSync(PageView)

const ask = async (): Promise<void> => {
  const response = await fetch("/v1/admin/page").catch(() => undefined)
  if (response?.ok === true) about.value = decode(await response.json())
}

/** Once it is known. A gateway that does not answer is told of elsewhere. */
export const learned = ask()
