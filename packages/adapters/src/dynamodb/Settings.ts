/** The settings of DynamoDB in the environment. The AWS SDK finds the credentials: `AWS_ACCESS_KEY_ID` and the like. */
import { Config, Option, Schema } from "effect"

/** The address of DynamoDB, and the names of its tables. */
export interface DynamoSettings {
  /** The endpoint of a local server. Default: that of AWS for the region. */
  readonly endpoint: string | undefined
  /** Default: the region that the AWS SDK finds. */
  readonly region: string | undefined
  /** The prefix of the names of all tables. */
  readonly prefix: string
}

const Url = Schema.String.check(
  Schema.makeFilter((text) => /^https?:\/\/[^/]+/.test(text) || "must be a URL, as http://127.0.0.1:8000"),
)
const Prefix = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_.-]{1,200}$/))

/** From `NIMBUS_DYNAMODB_…`; see docs/configuration.md. */
export const config: Config.Config<DynamoSettings> = Config.all({
  endpoint: Config.option(Config.schema(Url, "NIMBUS_DYNAMODB_ENDPOINT")),
  region: Config.option(Config.NonEmptyString("NIMBUS_DYNAMODB_REGION")),
  prefix: Config.schema(Prefix, "NIMBUS_DYNAMODB_PREFIX").pipe(Config.withDefault("nimbus")),
}).pipe(
  Config.map(({ endpoint, prefix, region }) => ({
    endpoint: Option.getOrUndefined(endpoint),
    region: Option.getOrUndefined(region),
    prefix,
  })),
)

/** For messages. */
export const where = ({ endpoint, region }: DynamoSettings): string =>
  endpoint ?? `AWS${region === undefined ? "" : ` ${region}`}`
