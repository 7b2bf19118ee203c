/** Where the identity provider sends the browser back to. */
import { useEffect, useState } from "preact/hooks"
import { about, learned } from "../api/about.ts"
import { complete } from "../api/signIn.ts"
import { replace } from "../router.ts"

export const SignInView = () => {
  const [failure, setFailure] = useState("")
  useEffect(() => {
    void finish().then(replace, (error: unknown) => setFailure(error instanceof Error ? error.message : String(error)))
  }, [])
  return (
    <section class="panel">
      <h1>Sign in</h1>
      {failure === "" ? (
        <p role="status">Asking the identity provider for your token …</p>
      ) : (
        <>
          <p role="alert">You are not signed in: {failure}</p>
          <p>
            <a href="/">To the overview</a>
          </p>
        </>
      )}
    </section>
  )
}

const finish = async (): Promise<string> => {
  await learned
  const { signIn } = about.value
  if (signIn === undefined) throw new Error("this gateway does not know the identity provider, or can't ask it now.")
  return complete(signIn)
}
