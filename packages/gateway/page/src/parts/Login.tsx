/** Asks who it is: by the identity provider, where there is one, or by a token, which is kept for as long as the tab lives. */
import { useState } from "preact/hooks"
import { about } from "../api/about.ts"
import { begin, forget } from "../api/signIn.ts"
import { enter, fault } from "../api/token.ts"

export const Login = () => {
  const [text, setText] = useState("")
  const { signIn } = about.value
  return (
    <section class="panel login" aria-labelledby="login">
      <h1 id="login">This gateway asks {signIn === undefined ? "for its admin token" : "who you are"}</h1>
      {signIn !== undefined && <ByProvider issuer={signIn.issuer} onBegin={() => begin(signIn)} />}
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (text === "") return
          forget()
          enter(text)
        }}
      >
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="current-password"
          required
          value={text}
          aria-describedby="token-help"
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" class={signIn === undefined ? "primary" : undefined}>
          Go on
        </button>
      </form>
      <p id="token-help" class="quiet">
        It is what <code>NIMBUS_ADMIN_TOKEN</code> or <code>NIMBUS_ADMIN_TOKENS</code> of the gateway says, and is
        forgotten with this tab.
      </p>
      {fault.value !== "" && <p role="alert">{fault.value}</p>}
    </section>
  )
}

const ByProvider = ({ issuer, onBegin }: { readonly issuer: string; readonly onBegin: () => Promise<void> }) => {
  const [failure, setFailure] = useState("")
  return (
    <>
      <p>
        <button
          type="button"
          class="primary"
          onClick={() => void onBegin().catch((error: unknown) => setFailure(String(error)))}
        >
          Sign in by {URL.parse(issuer)?.host ?? issuer}
        </button>
      </p>
      {failure !== "" && <p role="alert">{failure}</p>}
      <p class="quiet">Or with a token:</p>
    </>
  )
}
