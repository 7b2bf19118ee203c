/** Asks for the admin token, which is kept for as long as the tab lives. */
import { useState } from "preact/hooks"
import { enter, token } from "../api/token.ts"

export const Login = () => {
  const [text, setText] = useState("")
  return (
    <section class="panel login" aria-labelledby="login">
      <h1 id="login">This gateway asks for its admin token</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (text !== "") enter(text)
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
        <button type="submit" class="primary">
          Go on
        </button>
      </form>
      <p id="token-help" class="quiet">
        It is what <code>NIMBUS_ADMIN_TOKEN</code> of the gateway says, and is forgotten with this tab.
      </p>
      {token.value !== undefined && <p role="alert">The token was refused.</p>}
    </section>
  )
}
