/** The smallest program of a page: connects, sends, shows what comes. Only bundled, to be weighed. */
import { connect } from "../index.ts"

const client = await connect({
  url: "wss://gateway.example",
  clientId: "c1",
  onResult: (result) => console.log(result),
})
await client.send("sq", { number: 7 })
