# One image for every process of Nimbus: the command says which. Sources run as they are, by Node's type stripping.

FROM node:24.21.0-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS install
WORKDIR /nimbus
# The manifests first, so that a change of sources installs nothing again.
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY packages/adapters/package.json packages/adapters/
COPY packages/client/package.json packages/client/
COPY packages/domain/package.json packages/domain/
COPY packages/gateway/package.json packages/gateway/
COPY packages/gateway/page/package.json packages/gateway/page/
COPY packages/nimbus/package.json packages/nimbus/
COPY packages/pipeline/package.json packages/pipeline/
RUN npx -y pnpm@12.21.0 install --frozen-lockfile --prod --ignore-scripts --filter @nimbus/server...

# The web page, built with what only its build needs.
FROM install AS page
RUN npx -y pnpm@12.21.0 install --frozen-lockfile --prod --ignore-scripts --filter @nimbus/page...
COPY tsconfig.json ./
COPY packages packages
RUN node packages/gateway/page/build.ts

FROM node:24.21.0-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
WORKDIR /nimbus
# A container has a network of its own: which of its ports are open to whom is decided where it is run.
ENV NODE_ENV=production NIMBUS_HOST=0.0.0.0 NIMBUS_DATA=/var/lib/nimbus
COPY --from=install /nimbus ./
COPY packages packages
COPY --from=page /nimbus/packages/gateway/page/dist packages/gateway/page/dist
# The only directory that the user below may write. A volume that is mounted there for the first time belongs to it too.
RUN install -d -o node -g node -m 700 /var/lib/nimbus
VOLUME /var/lib/nimbus
USER node
EXPOSE 3000 50051
# Alive, whatever Nimbus waits for: an orchestrator may end what is not healthy. No certificate names this address.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["node", "-e", "const { NIMBUS_HTTP_PORT: port = 3000, NIMBUS_TLS } = process.env; require(NIMBUS_TLS ? 'https' : 'http').get({ port, host: '127.0.0.1', path: '/healthz', rejectUnauthorized: false }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=8", "packages/nimbus/src/main.ts", "start"]
