# One image for every process of Nimbus: the command says which. Sources run as they are, by Node's type stripping.

FROM node:24.21.0-slim AS install
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
RUN npx -y pnpm@12.21.0 install --frozen-lockfile --prod --ignore-scripts

# The web page, built with what only its build needs.
FROM install AS page
RUN npx -y pnpm@12.21.0 install --frozen-lockfile --ignore-scripts --filter @nimbus/page...
COPY tsconfig.json ./
COPY packages packages
RUN node packages/gateway/page/build.ts

FROM node:24.21.0-slim
WORKDIR /nimbus
ENV NODE_ENV=production
COPY --from=install /nimbus ./
COPY packages packages
COPY --from=page /nimbus/packages/gateway/page/dist packages/gateway/page/dist
USER node
EXPOSE 3000 50051
CMD ["node", "packages/nimbus/src/main.ts", "start"]
